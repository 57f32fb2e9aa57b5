/* SPDX-License-Identifier: GPL-2.0 */
/* What vfio.c calls where LIGHTIOV_IOMMUFD is set: the device's own node and iommufd. */
#ifndef _LIOV_IOMMUFD_H
#define _LIOV_IOMMUFD_H

#include "device.h"

bool iommufd_wanted(void);
int iommufd_open(struct vfio *v);
int iommufd_open_device(struct vfio *v, const char *uuid);
int iommufd_map(struct vfio *v, void *va, u64 iova, u64 len, bool readable, bool writable);
int iommufd_unmap(struct vfio *v, u64 iova, u64 len);

#endif /* _LIOV_IOMMUFD_H */
