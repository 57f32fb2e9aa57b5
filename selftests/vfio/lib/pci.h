/* SPDX-License-Identifier: GPL-2.0 */
/* A PCI function without VFIO, for root in a guest; no driver may be bound. */
#ifndef _LIOV_PCI_H
#define _LIOV_PCI_H

#include "device.h"

int pci_open(struct vfio *v, const char *bdf);
int pci_map_mem(struct vfio *v, size_t len);

#endif /* _LIOV_PCI_H */
