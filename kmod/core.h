/* SPDX-License-Identifier: GPL-2.0 */
/* The module's parameters; see core.c. */
#ifndef _LIOV_CORE_H
#define _LIOV_CORE_H

#include <linux/init.h>
#include <linux/types.h>

extern bool liov_allow_direct;

/* Of queues that the host's driver keeps: as many as liov_queues_kept() says. */
#define LIOV_AUTO	0

struct pci_dev;

bool liov_offer_of(struct pci_dev *pdev);
int liov_host_queues_parse(const char *text, unsigned int *val);
int liov_reserve_parse(const char *text, unsigned int *val);
unsigned int liov_host_queues_of(struct pci_dev *pdev);
unsigned int liov_reserve_of(struct pci_dev *pdev);
int __init liov_core_init(void);

#endif /* _LIOV_CORE_H */
