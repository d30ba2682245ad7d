/* SPDX-License-Identifier: BSD-2-Clause */
/* Posts: checked, put into the lane's ring, handed to the device as one chain by flush. */
#include "rdma/verbs/lane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define MESSAGE_ALIGN UINT64_C(64)

/* Whether there is a place for one more post. */
static int check_place(const struct pr_verbs_lane *lane)
{
    if (lane->err)
        return pr_verbs_lane_failure(lane);
    if (lane->posted - lane->released == lane->send_depth)
        return pr_error(EAGAIN, "all %u places of the lane are taken: poll first",
                        lane->send_depth);
    return 0;
}

/* Queues a request of one piece (or none) in the next place. */
static void queue(struct pr_verbs_lane *lane, const struct pr_verbs_post *post,
                  const struct ibv_send_wr *request, const struct ibv_sge *piece)
{
    uint64_t mask = lane->send_depth - 1, place = lane->posted & mask;
    struct ibv_send_wr *wr = &lane->requests[place];
    lane->posts[place] = *post;
    lane->posts[place].outbox_end = lane->outbox.head;
    *wr = *request;
    wr->wr_id = lane->posted;
    wr->next = NULL;
    if (piece) {
        lane->pieces[place] = *piece;
        wr->sg_list = &lane->pieces[place];
        wr->num_sge = 1;
    }
    if (lane->posted != lane->flushed)
        lane->requests[(lane->posted - 1) & mask].next = wr;
    lane->posted++;
}

static int post_transfer(struct pr_verbs_lane *lane, const struct pr_rma *rma, enum pr_op op,
                         struct ibv_send_wr request)
{
    int err = check_place(lane);
    if (!err && (rma->len || request.opcode != IBV_WR_RDMA_WRITE_WITH_IMM))
        err = pr_rma_check(&lane->base, rma);
    if (err)
        return err;
    struct pr_verbs_post post = {.tag = rma->tag, .op = op, .signaled = rma->signaled};
    request.send_flags = rma->signaled ? IBV_SEND_SIGNALED : 0;
    if (!rma->len) {
        queue(lane, &post, &request, NULL);
        return 0;
    }
    struct ibv_sge piece = {.addr = (uintptr_t)rma->local,
                            .length = (uint32_t)rma->len,
                            .lkey = ((const struct pr_verbs_mr *)rma->mr)->mr->lkey};
    request.wr.rdma.remote_addr = rma->remote;
    request.wr.rdma.rkey = (uint32_t)rma->key->rkey;
    queue(lane, &post, &request, &piece);
    return 0;
}

int pr_verbs_post_write(struct pr_lane *lane, const struct pr_rma *write)
{
    return post_transfer(pr_verbs_lane_of(lane), write, PR_OP_WRITE,
                         (struct ibv_send_wr){.opcode = IBV_WR_RDMA_WRITE});
}

int pr_verbs_post_write_imm(struct pr_lane *lane, const struct pr_rma *write, uint32_t imm)
{
    return post_transfer(
        pr_verbs_lane_of(lane), write, PR_OP_WRITE,
        (struct ibv_send_wr){.opcode = IBV_WR_RDMA_WRITE_WITH_IMM, .imm_data = htonl(imm)});
}

int pr_verbs_post_read(struct pr_lane *lane, const struct pr_rma *read)
{
    const struct pr_verbs_mr *mr = (const struct pr_verbs_mr *)read->mr;
    if (!(mr->access & PR_ACCESS_LOCAL_WRITE))
        return pr_error(EINVAL, "the target of a read is not registered with local write access");
    return post_transfer(pr_verbs_lane_of(lane), read, PR_OP_READ,
                         (struct ibv_send_wr){.opcode = IBV_WR_RDMA_READ});
}

/* Room for a message in one piece; NULL when the ring is too full. */
static uint8_t *take_room(struct pr_verbs_outbox *outbox, uint32_t len)
{
    uint64_t need = (len + MESSAGE_ALIGN - 1) & ~(MESSAGE_ALIGN - 1);
    uint64_t at = outbox->head % outbox->size, skip = 0;
    if (at + need > outbox->size)
        skip = outbox->size - at;
    if (outbox->head + skip + need - outbox->tail > outbox->size)
        return NULL;
    outbox->head += skip + need;
    return outbox->bytes + (skip ? 0 : at);
}

int pr_verbs_post_send(struct pr_lane *base, const void *bytes, uint32_t len, uint64_t tag,
                       bool signaled)
{
    struct pr_verbs_lane *lane = pr_verbs_lane_of(base);
    if (!len || len > lane->message_bytes)
        return pr_error(EINVAL, "a message has 1 to %u bytes, not %u", lane->message_bytes, len);
    int err = check_place(lane);
    if (err)
        return err;
    uint8_t *room = take_room(&lane->outbox, len);
    if (!room)
        return pr_error(EAGAIN, "the lane's messages wait to go out: poll first");
    memcpy(room, bytes, len);
    struct pr_verbs_post post = {.tag = tag, .op = PR_OP_SEND, .signaled = signaled};
    struct ibv_sge piece = {.addr = (uintptr_t)room, .length = len, .lkey = lane->memory_mr->lkey};
    unsigned inlined = len <= lane->inline_bytes ? IBV_SEND_INLINE : 0;
    struct ibv_send_wr request = {.opcode = IBV_WR_SEND, .send_flags = IBV_SEND_SIGNALED | inlined};
    queue(lane, &post, &request, &piece);
    return 0;
}

int pr_verbs_flush(struct pr_lane *base)
{
    struct pr_verbs_lane *lane = pr_verbs_lane_of(base);
    if (lane->err)
        return pr_verbs_lane_failure(lane);
    if (lane->flushed == lane->posted)
        return 0;
    struct ibv_send_wr *bad;
    struct ibv_send_wr *first = &lane->requests[lane->flushed & (lane->send_depth - 1)];
    lane->flushed = lane->posted;
    int err = ibv_post_send(lane->id->qp, first, &bad);
    if (!err)
        return 0;
    err = pr_error(err, "the RDMA device would not take a transfer: %s", strerror(err));
    pr_verbs_lane_fail(lane, err);
    return err;
}
