/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/guest_state.h"

#include "base/cursor.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define VERSION 1
#define RATE_MAX (1ull << 50)

int pr_guest_state_encode(const struct pr_guest_state *state, void *to, size_t size)
{
    struct pr_writer w = pr_writer_over(to, size);
    pr_write_u16(&w, VERSION);
    pr_write_u8(&w, (uint8_t)state->plan.pattern);
    pr_write_u8(&w, (uint8_t)state->plan.fill);
    pr_write_u32(&w, state->plan.threads);
    pr_write_u64(&w, state->plan.seed);
    pr_write_u64(&w, state->plan.rate_Bps);
    pr_write_u64(&w, state->len_bytes);
    pr_write_u64(&w, state->stopped_ns);
    pr_write_string(&w, state->boot_id);
    for (uint32_t i = 0; i < state->plan.threads; i++) {
        pr_write_u64(&w, state->thread[i].made);
        pr_write_u64(&w, state->thread[i].beat_ns);
    }
    return pr_writer_end(&w, "guest state");
}

static int check_plan(const struct pr_guest_state *state)
{
    const struct pr_guest_plan *plan = &state->plan;
    if (!pr_guest_pattern_name(plan->pattern) || !pr_guest_fill_name(plan->fill))
        return pr_error(EPROTO, "the source's guest has a pattern or fill that is not known here: "
                                "use the same version of pagerail on both sides");
    if (!plan->threads || plan->threads > PR_GUEST_THREADS_MAX || plan->rate_Bps > RATE_MAX)
        return pr_error(EPROTO, "the source's guest has %u threads or a rate that cannot be",
                        plan->threads);
    return 0;
}

static void read_plan(struct pr_reader *r, struct pr_guest_state *state)
{
    state->plan.pattern = (enum pr_guest_pattern)pr_read_u8(r);
    state->plan.fill = (enum pr_guest_fill)pr_read_u8(r);
    state->plan.threads = pr_read_u32(r);
    state->plan.seed = pr_read_u64(r);
    state->plan.rate_Bps = pr_read_u64(r);
    state->len_bytes = pr_read_u64(r);
    state->stopped_ns = pr_read_u64(r);
    pr_read_string(r, state->boot_id, sizeof(state->boot_id));
}

static int read_threads(struct pr_reader *r, struct pr_guest_state *state)
{
    for (uint32_t i = 0; i < state->plan.threads; i++) {
        state->thread[i].made = pr_read_u64(r);
        state->thread[i].beat_ns = pr_read_u64(r);
        if (state->thread[i].made > PR_GUEST_WRITES_MAX)
            return pr_error(EPROTO, "the source's guest claims more writes than one can make");
    }
    return 0;
}

int pr_guest_state_decode(struct pr_guest_state *out, const void *from, size_t len)
{
    static const struct pr_guest_state none;
    struct pr_guest_state state = none;
    struct pr_reader r = pr_reader_over(from, len);
    uint16_t version = pr_read_u16(&r);
    if (!r.spent && version != VERSION)
        return pr_error(EPROTO, "the source's guest state has version %u, this pagerail knows %d",
                        version, VERSION);
    read_plan(&r, &state);
    int err = check_plan(&state);
    if (!err)
        err = read_threads(&r, &state);
    if (!err)
        err = pr_reader_end(&r, "guest state");
    if (!err)
        *out = state;
    return err;
}

void pr_boot_id(char out[PR_BOOT_ID_BYTES])
{
    out[0] = '\0';
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (!file)
        return;
    if (fgets(out, PR_BOOT_ID_BYTES, file))
        out[strcspn(out, "\n")] = '\0';
    fclose(file);
}
