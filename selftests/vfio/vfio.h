/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One mediated device through the VFIO group and type1 interface, without KVM;
 * or, inside a guest, a PCI function through sysfs. Functions return 0 or
 * a negative errno unless they say otherwise.
 */
#ifndef _LIOV_VFIO_H
#define _LIOV_VFIO_H

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

/**
 * struct vfio - an open device and the one buffer it may reach
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

int vfio_open(struct vfio *v, const char *uuid);
/* The same in the container of @other, which must stay open meanwhile. */
int vfio_open_beside(struct vfio *v, const char *uuid, const struct vfio *other);
void vfio_close(struct vfio *v);
/* The device alone: to see what closing it does, and to open it again. */
void vfio_close_device(struct vfio *v);
int vfio_open_device(struct vfio *v, const char *uuid);
/* Its two parts, with a type1 container: what one process opens another can use. */
int vfio_get_device(struct vfio *v, const char *uuid);
int vfio_take_device(struct vfio *v, int fd);

/* Allocates @len bytes and maps them at @iova. */
int vfio_map_mem(struct vfio *v, size_t len, u64 iova);
int vfio_dma_map(struct vfio *v, void *va, u64 iova, u64 len);
int vfio_dma_map_flags(struct vfio *v, void *va, u64 iova, u64 len, u32 flags);
int vfio_dma_unmap(struct vfio *v, u64 iova, u64 len);
int vfio_reset(struct vfio *v);

/* As pread() and pwrite() at an offset of a region, but -errno for -1. */
ssize_t vfio_read(struct vfio *v, unsigned int region, u64 off, void *buf, size_t len);
ssize_t vfio_write(struct vfio *v, unsigned int region, u64 off, const void *buf, size_t len);

/* Values up to 8 bytes; all ones when the read fails. */
u64 vfio_get(struct vfio *v, unsigned int region, u64 off, unsigned int len);
int vfio_put(struct vfio *v, unsigned int region, u64 off, unsigned int len, u64 val);

/* First capability @id after position @after (0: from the start), or 0. */
u8 vfio_find_cap(struct vfio *v, u8 id, u8 after);

/* iommufd.c: what vfio.c calls where LIGHTIOV_IOMMUFD is set. */
bool iommufd_wanted(void);
int iommufd_open(struct vfio *v);
int iommufd_open_device(struct vfio *v, const char *uuid);
int iommufd_map(struct vfio *v, void *va, u64 iova, u64 len, bool readable, bool writable);
int iommufd_unmap(struct vfio *v, u64 iova, u64 len);

/* pci.c: the same without VFIO, for root in a guest; no driver may be bound. */
int pci_open(struct vfio *v, const char *bdf);
void pci_close(struct vfio *v);
int pci_map_mem(struct vfio *v, size_t len);
int pci_reset(struct vfio *v);
ssize_t pci_read(struct vfio *v, unsigned int region, u64 off, void *buf, size_t len);
ssize_t pci_write(struct vfio *v, unsigned int region, u64 off, const void *buf, size_t len);

/* An eventfd for a single interrupt, ERR or REQ: the file descriptor. */
int vfio_event_on(struct vfio *v, u32 index);
int vfio_irqs_on(struct vfio *v);
int vfio_irqs_off(struct vfio *v);
/* Events since the last call, waiting up to @ms for the first. */
u64 vfio_irq_wait(struct vfio *v, unsigned int vector, int ms);
u64 vfio_event_wait(int fd, int ms);

#endif /* _LIOV_VFIO_H */
