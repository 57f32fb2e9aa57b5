// SPDX-License-Identifier: GPL-2.0
/*
 * A PCI function without VFIO, for programs inside a guest: BAR0 through sysfs,
 * memory by its physical addresses.  Completions are polled; MSI-X stays off.
 * Behind struct vfio, so that the rest need not know; the caller owns it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pci.h"

/* /proc/PID/pagemap: a present page, and its frame number. */
#define PAGEMAP_PRESENT		0x8000000000000000ULL
#define PAGEMAP_PFN		0x007fffffffffffffULL

#define CFG_LEN			256

static int pci_file(const char *bdf, const char *name, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
	fd = open(path, flags | O_CLOEXEC);
	if (fd < 0) {
		diag("%s: %s", path, strerror(errno));
		return -errno;
	}
	return fd;
}

static bool has_driver(const char *bdf)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", bdf);
	return !access(path, F_OK);
}

/* Function Level Reset; the caller sets BARs and COMMAND again. */
static int pci_reset(struct vfio *v)
{
	u8 pos = vfio_find_cap(v, PCI_CAP_ID_EXP, 0);
	u16 ctl;

	if (!pos)
		return -ENODEV;
	ctl = vfio_get(v, CFG, pos + PCI_EXP_DEVCTL, 2);
	vfio_put(v, CFG, pos + PCI_EXP_DEVCTL, 2, ctl | PCI_EXP_DEVCTL_BCR_FLR);
	/* PCIe Base section 6.6.2: software waits 100 ms. */
	sleep_us(100000);
	return 0;
}

static void pci_close(struct vfio *v)
{
	u16 cmd = 0;

	/* What it still has outstanding must not reach pages that are freed. */
	if (v->cfg >= 0) {
		if (v->bar0)
			pci_reset(v);
		if (pwrite(v->cfg, &cmd, 2, PCI_COMMAND) != 2)
			diag("bus mastering stays on");
		close(v->cfg);
	}
	v->cfg = -1;
	if (v->bar0)
		munmap(v->bar0, v->region[BAR0].size);
	v->bar0 = NULL;
	free(v->phys);
	v->phys = NULL;
	if (v->mem)
		munmap(v->mem, v->mem_len);
	v->mem = NULL;
}

static ssize_t pci_read(struct vfio *v, unsigned int region, u64 off, void *buf, size_t len)
{
	void *p = v->bar0 + off;
	ssize_t rc;

	if (region == CFG) {
		rc = pread(v->cfg, buf, len, off);
		return rc < 0 ? -errno : rc;
	}
	if (region != BAR0 || off + len > v->region[BAR0].size)
		return -EINVAL;
	switch (len) {
	case 1:
		*(u8 *)buf = READ_ONCE(*(u8 *)p);
		break;
	case 2:
		*(u16 *)buf = READ_ONCE(*(u16 *)p);
		break;
	case 4:
		*(u32 *)buf = READ_ONCE(*(u32 *)p);
		break;
	case 8:
		*(u64 *)buf = READ_ONCE(*(u64 *)p);
		break;
	default:
		return -EINVAL;
	}
	return len;
}

static ssize_t pci_write(struct vfio *v, unsigned int region, u64 off, const void *buf,
			 size_t len)
{
	void *p = v->bar0 + off;
	ssize_t rc;

	if (region == CFG) {
		rc = pwrite(v->cfg, buf, len, off);
		return rc < 0 ? -errno : rc;
	}
	if (region != BAR0 || off + len > v->region[BAR0].size)
		return -EINVAL;
	switch (len) {
	case 1:
		WRITE_ONCE(*(u8 *)p, *(u8 *)buf);
		break;
	case 2:
		WRITE_ONCE(*(u16 *)p, *(u16 *)buf);
		break;
	case 4:
		WRITE_ONCE(*(u32 *)p, *(u32 *)buf);
		break;
	case 8:
		WRITE_ONCE(*(u64 *)p, *(u64 *)buf);
		break;
	default:
		return -EINVAL;
	}
	return len;
}

static const struct vfio_ops pci_ops = {
	.read = pci_read,
	.write = pci_write,
	.reset = pci_reset,
	.close = pci_close,
};

int pci_open(struct vfio *v, const char *bdf)
{
	struct stat st;
	unsigned int i;
	u16 cmd;
	int fd;

	memset(v, 0, sizeof(*v));
	v->ops = &pci_ops;
	v->container = -1;
	v->group = -1;
	v->device = -1;
	for (i = 0; i < VFIO_MAX_VECTORS; i++)
		v->efd[i] = -1;
	if (has_driver(bdf)) {
		diag("%s is bound to a driver", bdf);
		v->cfg = -1;
		return -EBUSY;
	}
	v->cfg = pci_file(bdf, "config", O_RDWR);
	if (v->cfg < 0)
		return v->cfg;
	if (pread(v->cfg, &cmd, 2, PCI_COMMAND) != 2)
		return -EIO;
	cmd |= PCI_COMMAND_MEMORY;
	if (pwrite(v->cfg, &cmd, 2, PCI_COMMAND) != 2)
		return -EIO;

	fd = pci_file(bdf, "resource0", O_RDWR);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st)) {
		close(fd);
		return -errno;
	}
	v->region[BAR0].size = st.st_size;
	v->region[CFG].size = CFG_LEN;
	v->bar0 = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (v->bar0 == MAP_FAILED) {
		v->bar0 = NULL;
		diag("BAR0 cannot be mapped: %s", strerror(errno));
		return -errno;
	}
	return 0;
}

/* Huge pages are contiguous and are never moved. */
static int reserve_huge_pages(size_t nr)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "w");

	if (!f)
		return -errno;
	fprintf(f, "%zu\n", nr);
	return fclose(f) ? -errno : 0;
}

int pci_map_mem(struct vfio *v, size_t len)
{
	size_t i, nr = (len + PIECE_LEN - 1) >> PIECE_SHIFT;
	int fd, rc = 0;

	reserve_huge_pages(nr);
	v->mem = mmap(NULL, nr << PIECE_SHIFT, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
	if (v->mem == MAP_FAILED) {
		v->mem = NULL;
		diag("no %zu huge pages: %s", nr, strerror(errno));
		return -errno;
	}
	v->mem_len = nr << PIECE_SHIFT;
	memset(v->mem, 0, v->mem_len);
	v->phys = calloc(nr, sizeof(*v->phys));
	fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (fd < 0 || !v->phys)
		return -ENOENT;
	for (i = 0; i < nr && !rc; i++) {
		unsigned long va = (unsigned long)v->mem + (i << PIECE_SHIFT);
		u64 e = 0;

		if (pread(fd, &e, sizeof(e), va / SZ_4K * sizeof(e)) != sizeof(e) ||
		    !(e & PAGEMAP_PRESENT) || !(e & PAGEMAP_PFN)) {
			diag("pagemap does not tell physical addresses");
			rc = -EPERM;
		}
		v->phys[i] = (e & PAGEMAP_PFN) * SZ_4K;
	}
	close(fd);
	v->iova = v->phys[0];
	return rc;
}
