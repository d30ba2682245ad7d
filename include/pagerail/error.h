/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pagerail/error.h: how every pagerail call reports failure.
 *
 * A call that can fail returns 0 or a positive count on success and a negative errno value on
 * failure (-ETIMEDOUT, -EINVAL, ...). Beside the number the library keeps, per thread, one sentence
 * that says what happened and what the user can do about it.
 */
#ifndef PAGERAIL_ERROR_H
#define PAGERAIL_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#define PAGERAIL_API __attribute__((visibility("default")))

/* The longest sentence the library keeps, in bytes, terminator included. */
#define PAGERAIL_ERROR_MAX 512

/*
 * pagerail_error_message: the sentence of the last failed call on the calling thread.
 *
 * RETURN VALUE: a NUL-terminated UTF-8 string, "" when no call has failed on this thread. It is
 * owned by the library and valid until this thread's next pagerail call. A successful call leaves
 * it as it is, so read it only after a call returned a negative value.
 * THREAD-SAFETY: every thread has its own.
 * ERRORS: none.
 */
PAGERAIL_API const char *pagerail_error_message(void);

#ifdef __cplusplus
}
#endif
#endif
