/* SPDX-License-Identifier: GPL-2.0 */
/* The phases that want the host's processors, or the drive, for themselves. */
#ifndef _LIOV_HOSTILE_FLOODS_H
#define _LIOV_HOSTILE_FLOODS_H

#include "hostile.h"

void flood_of_doorbells(struct test *t, struct hostile *h);
void scattered_lists(struct test *t, struct hostile *h);
void zeroes_without_end(struct test *t, struct hostile *h);

#endif /* _LIOV_HOSTILE_FLOODS_H */
