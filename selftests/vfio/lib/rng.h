/* SPDX-License-Identifier: GPL-2.0 */
/* Random numbers from a seed that the caller keeps. */
#ifndef _LIOV_RNG_H
#define _LIOV_RNG_H

#include "test.h"

u32 rnd(u64 *rng, u32 below);
u64 rnd64(u64 *rng);

#endif /* _LIOV_RNG_H */
