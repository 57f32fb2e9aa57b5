/* SPDX-License-Identifier: GPL-2.0 */
/* The module's parameters; see core.c. */
#ifndef _LIOV_CORE_H
#define _LIOV_CORE_H

#include <linux/init.h>
#include <linux/types.h>

extern bool liov_allow_direct;
extern unsigned int liov_reserve_pairs;

int __init liov_core_init(void);

#endif /* _LIOV_CORE_H */
