/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Blocks that say whose they are and where they belong: 16-byte units of a magic
 * number, the area's ID and the unit's position in the area.  A block at the
 * wrong place, of another area, or overwritten in part is told from a right one.
 */
#ifndef _LIOV_STAMP_H
#define _LIOV_STAMP_H

#include "test.h"

/* "LIOVCNRY" */
#define STAMP_MAGIC	0x59524e43564f494cULL
#define STAMP_UNIT	16

/* @pos: bytes from the area's start, a multiple of STAMP_UNIT, as is @len. */
void stamp_fill(void *buf, size_t len, u16 id, u64 pos);
/* Offset of the first wrong unit, or -1. */
long stamp_check(const void *buf, size_t len, u16 id, u64 pos);
/* A stamp of another area than @own, at any multiple of 4. */
bool stamp_found(const void *buf, size_t len, u16 own);

#endif /* _LIOV_STAMP_H */
