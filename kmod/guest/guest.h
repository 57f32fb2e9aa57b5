/* SPDX-License-Identifier: GPL-2.0 */
/* LightIOV guest helper: what mailbox.c offers main.c. */
#ifndef _LIOV_GUEST_H
#define _LIOV_GUEST_H

struct bus_dma_region;
struct pci_dev;

int liov_guest_find_cap(struct pci_dev *pdev);
int liov_guest_map_window(struct pci_dev *pdev, int vsec, struct bus_dma_region *r);
void liov_guest_unmap_all(struct pci_dev *pdev, int vsec);

#endif /* _LIOV_GUEST_H */
