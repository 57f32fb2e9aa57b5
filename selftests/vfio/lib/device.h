/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An open device, whichever way it is reached: its regions and configuration space.
 * Functions return 0 or a negative errno unless they say otherwise.
 */
#ifndef _LIOV_DEVICE_H
#define _LIOV_DEVICE_H

#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <sys/types.h>

#include "test.h"

#define VFIO_MAX_VECTORS	32

#define CFG			VFIO_PCI_CONFIG_REGION_INDEX
#define BAR0			VFIO_PCI_BAR0_REGION_INDEX

/* Memory of a function without an IOMMU is contiguous in pieces of this size. */
#define PIECE_SHIFT		21
#define PIECE_LEN		(2 * SZ_1M)

struct vfio;

/**
 * struct vfio_ops - a way to a device: vfio.c, or pci.c inside a guest
 * @read:  as pread() at an offset of a region, but -errno for -1
 * @write: as pwrite(), likewise
 * @reset: of the function
 * @close: the device and all that struct vfio has
 */
struct vfio_ops {
	ssize_t (*read)(struct vfio *v, unsigned int region, u64 off, void *buf, size_t len);
	ssize_t (*write)(struct vfio *v, unsigned int region, u64 off, const void *buf,
			 size_t len);
	int (*reset)(struct vfio *v);
	void (*close)(struct vfio *v);
};

/**
 * struct vfio - an open device and the one buffer it may reach
 * @ops:       how it is reached
 * @container: type1 container, @group, @device: file descriptors, -1 if closed
 * @shared:    @container is another struct's, see vfio_open_beside()
 * @ioas:      iommufd.c: address space; 0 with a type1 container
 * @group_nr:  IOMMU group
 * @info:      VFIO_DEVICE_GET_INFO
 * @region:    VFIO_DEVICE_GET_REGION_INFO of each
 * @nr_vectors: MSI-X vectors, each with an eventfd in @efd
 * @mem:       anonymous memory of @mem_len bytes, mapped at @iova
 * @bar0:      pci.c: BAR0, mapped; NULL with VFIO
 * @cfg:       pci.c: configuration space
 * @phys:      pci.c: physical address of each piece of @mem
 */
struct vfio {
	const struct vfio_ops *ops;
	int container, group, device;
	bool shared;
	u32 ioas;
	unsigned int group_nr;
	struct vfio_device_info info;
	struct vfio_region_info region[VFIO_PCI_NUM_REGIONS];
	unsigned int nr_vectors;
	int efd[VFIO_MAX_VECTORS];
	void *mem;
	size_t mem_len;
	u64 iova;
	void *bar0;
	int cfg;
	u64 *phys;
};

void vfio_close(struct vfio *v);
int vfio_reset(struct vfio *v);

/* As pread() and pwrite() at an offset of a region, but -errno for -1. */
ssize_t vfio_read(struct vfio *v, unsigned int region, u64 off, void *buf, size_t len);
ssize_t vfio_write(struct vfio *v, unsigned int region, u64 off, const void *buf, size_t len);

/* Values up to 8 bytes; all ones when the read fails. */
u64 vfio_get(struct vfio *v, unsigned int region, u64 off, unsigned int len);
int vfio_put(struct vfio *v, unsigned int region, u64 off, unsigned int len, u64 val);

/* First capability @id after position @after (0: from the start), or 0. */
u8 vfio_find_cap(struct vfio *v, u8 id, u8 after);

#endif /* _LIOV_DEVICE_H */
