# SPDX-License-Identifier: BSD-2-Clause
"""Frames in a file of QEMU's filter-dump (pcap, this machine's byte order, Ethernet)."""
import struct

FILE_HEADER = struct.Struct("=IHHiIII")
PACKET_HEADER = struct.Struct("=IIII")
MAGIC = 0xa1b2c3d4
RARP = 0x8035


def frames(path):
    """The frames that are whole so far."""
    data = path.read_bytes()
    if len(data) < FILE_HEADER.size:
        return
    if FILE_HEADER.unpack_from(data)[0] != MAGIC:
        raise ValueError(f"{path} is no pcap file")
    at = FILE_HEADER.size
    while at + PACKET_HEADER.size <= len(data):
        length = PACKET_HEADER.unpack_from(data, at)[2]
        at += PACKET_HEADER.size
        if at + length <= len(data):
            yield data[at:at + length]
        at += length


def announced(path):
    """The MAC addresses that sent a RARP frame."""
    return {frame[6:12].hex(":") for frame in frames(path)
            if int.from_bytes(frame[12:14], "big") == RARP}
