/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The user's migration parameters as options of a session. */
#ifndef PAGERAIL_GLUE_PARAMETERS_H
#define PAGERAIL_GLUE_PARAMETERS_H

#include <pagerail/options.h>

struct pagerail_options rdma_options(void);

#endif
