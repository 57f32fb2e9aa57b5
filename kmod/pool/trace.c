// SPDX-License-Identifier: GPL-2.0
/*
 * Makes the tracepoints of trace.h.  Owns nothing; no locks.
 */
#ifndef __CHECKER__
#define CREATE_TRACE_POINTS
#include "pool/trace.h"
#endif
