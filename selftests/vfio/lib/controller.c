// SPDX-License-Identifier: GPL-2.0
/*
 * Opens the controller, brings it up and identifies it; queues and commands are in
 * queue.c and admin.c.  Single-threaded.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller.h"
#include "pci.h"

/* Enough for rings, a few transfers of 1 MiB, and room to point at in vain. */
#define MEM_LEN			(16 * SZ_1M)
/* Above 4 GiB, so that a lost upper half shows. */
#define MEM_IOVA		0x100000000ULL

/* Where a guest's firmware could have put the BARs; away from our memory. */
#define BAR0_ADDR		0xe0000000U
#define BAR2_ADDR		0xe0100000U

#define ADMIN_DEPTH		32

u32 nvme_get32(struct nvme *n, u32 reg)
{
	return vfio_get(&n->v, BAR0, reg, 4);
}

u64 nvme_get64(struct nvme *n, u32 reg)
{
	return vfio_get(&n->v, BAR0, reg, 8);
}

void nvme_put32(struct nvme *n, u32 reg, u32 val)
{
	vfio_put(&n->v, BAR0, reg, 4, val);
}

void nvme_put64(struct nvme *n, u32 reg, u64 val)
{
	vfio_put(&n->v, BAR0, reg, 8, val);
}

/* The first line of an attribute. */
static int sysfs_line(struct nvme *n, const char *name, char *buf, int len)
{
	char path[256];
	FILE *f;

	*buf = '\0';
	if (!n->uuid)
		return -ENODEV;
	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/lightiov/%s", n->uuid, name);
	f = fopen(path, "r");
	if (!f)
		return -errno;
	if (!fgets(buf, len, f))
		*buf = '\0';
	fclose(f);
	return 0;
}

long long nvme_sysfs(struct nvme *n, const char *name)
{
	char buf[64];
	int rc = sysfs_line(n, name, buf, sizeof(buf));

	return rc ?: strtoll(buf, NULL, 0);
}

bool nvme_is_shared(struct nvme *n)
{
	char buf[64];

	return !sysfs_line(n, "queues", buf, sizeof(buf)) && strstr(buf, "shared");
}

int nvme_sysfs_set(struct nvme *n, const char *name, long long val)
{
	char path[128], text[32];
	int fd, len, rc;

	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/lightiov/%s", n->uuid, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	len = snprintf(text, sizeof(text), "%lld", val);
	rc = write(fd, text, len) == len ? 0 : -errno;
	close(fd);
	return rc;
}

int nvme_setup_pci(struct nvme *n)
{
	u8 msix = vfio_find_cap(&n->v, PCI_CAP_ID_MSIX, 0);
	u16 flags;
	int rc;

	vfio_put(&n->v, CFG, PCI_BASE_ADDRESS_0, 4, (u32)n->bar[0]);
	vfio_put(&n->v, CFG, PCI_BASE_ADDRESS_1, 4, n->bar[0] >> 32);
	vfio_put(&n->v, CFG, PCI_BASE_ADDRESS_2, 4, (u32)n->bar[1]);
	vfio_put(&n->v, CFG, PCI_BASE_ADDRESS_3, 4, n->bar[1] >> 32);
	vfio_put(&n->v, CFG, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	if (n->v.phys)
		return 0;
	if (!msix) {
		diag("no MSI-X capability");
		return -ENODEV;
	}
	flags = vfio_get(&n->v, CFG, msix + PCI_MSIX_FLAGS, 2);
	flags &= ~PCI_MSIX_FLAGS_MASKALL;
	vfio_put(&n->v, CFG, msix + PCI_MSIX_FLAGS, 2, flags | PCI_MSIX_FLAGS_ENABLE);
	rc = vfio_irqs_on(&n->v);
	if (rc) {
		diag("VFIO_DEVICE_SET_IRQS: %s", strerror(-rc));
		return rc;
	}

	n->dma_base = n->v.iova;
	if (n->direct) {
		rc = nvme_mailbox(n, LIGHTIOV_CMD_MAP, n->v.iova, n->v.mem_len, &n->dma_base);
		if (rc) {
			diag("no window: %s", strerror(rc < 0 ? -rc : rc));
			return rc < 0 ? rc : -rc;
		}
	}
	return 0;
}

int nvme_wait_csts(struct nvme *n, u32 mask, u32 val, u32 ms)
{
	u64 end = now_ms() + ms;

	for (;;) {
		bool last = now_ms() >= end;
		u32 csts = nvme_get32(n, REG_CSTS);

		if ((csts & mask) == val)
			return 0;
		if (csts == ~0U)
			return -ENODEV;
		if (last)
			return -ETIMEDOUT;
		sleep_us(500);
	}
}

int nvme_disable(struct nvme *n)
{
	nvme_put32(n, REG_CC, CC_IOSQES | CC_IOCQES);
	n->sq_live = 0;
	n->cq_live = 0;
	return nvme_wait_csts(n, CSTS_RDY, 0, n->timeout_ms);
}

int nvme_enable(struct nvme *n)
{
	struct nvme_queue *q = &n->adm;
	u32 mpsmin = n->cap >> 48 & 0xf;
	u64 end;
	u32 csts;

	n->brk = 0;
	memset(q, 0, sizeof(*q));
	q->sq_depth = ADMIN_DEPTH;
	q->cq_depth = ADMIN_DEPTH;
	q->phase = 1;
	q->sq = nvme_alloc(n, ADMIN_DEPTH * sizeof(*q->sq));
	q->cq = nvme_alloc(n, ADMIN_DEPTH * sizeof(*q->cq));
	n->base = n->brk;
	n->sq_live = 0;
	n->cq_live = 0;

	nvme_put32(n, REG_AQA, (ADMIN_DEPTH - 1) << 16 | (ADMIN_DEPTH - 1));
	nvme_put64(n, REG_ASQ, nvme_dma(n, q->sq));
	nvme_put64(n, REG_ACQ, nvme_dma(n, q->cq));
	nvme_put32(n, REG_CC, CC_EN | CC_MPS(mpsmin) | CC_IOSQES | CC_IOCQES);

	end = now_ms() + n->timeout_ms;
	do {
		csts = nvme_get32(n, REG_CSTS);
		if (csts & CSTS_CFS)
			return -EIO;
		if (csts & CSTS_RDY)
			return 0;
		sleep_us(500);
	} while (now_ms() < end);
	return -ETIMEDOUT;
}

static int identify(struct nvme *n, u8 cns, u32 nsid, void *buf)
{
	struct nvme_sqe sqe = cmd_identify(cns, nsid, nvme_dma(n, buf));
	int rc = nvme_admin(n, &sqe, NULL);

	if (rc)
		diag("Identify CNS %02x NSID %x: status %x", cns, nsid, rc);
	return rc;
}

static u32 le32_at(const void *buf, unsigned int off)
{
	u32 val;

	memcpy(&val, buf + off, sizeof(val));
	return val;
}

int nvme_identify(struct nvme *n)
{
	struct nvme_sqe sqe = { .opcode = ADM_SET_FEATURES, .cdw10 = 7 };
	size_t mark = n->brk;
	u8 *buf = nvme_alloc(n, 4096);
	u32 result, fmt;
	int rc;

	rc = identify(n, 1, 0, buf);
	if (rc)
		return rc;
	memcpy(n->id, buf, sizeof(n->id));
	memcpy(&n->oncs, buf + 520, sizeof(n->oncs));
	n->max_xfer = SZ_1M;
	if (buf[77] && buf[77] < 8 && (n->page << buf[77]) < n->max_xfer)
		n->max_xfer = n->page << buf[77];

	rc = identify(n, 2, 0, buf);
	if (rc)
		return rc;
	n->nsid = le32_at(buf, 0);
	if (!n->nsid) {
		diag("no active namespace");
		return -ENODEV;
	}
	rc = identify(n, 0, n->nsid, buf);
	if (rc)
		return rc;
	memcpy(&n->nsze, buf, sizeof(n->nsze));
	fmt = le32_at(buf, 128 + 4 * (buf[26] & 0xf));
	n->lba = 1U << (fmt >> 16 & 0xff);
	if (fmt & 0xffff)
		diag("the namespace has metadata; reads and writes will fail");

	sqe.cdw11 = (LIGHTIOV_MAX_PAIRS - 1) << 16 | (LIGHTIOV_MAX_PAIRS - 1);
	rc = nvme_admin(n, &sqe, &result);
	if (rc) {
		diag("Set Features, Number of Queues: status %x", rc);
		return rc;
	}
	n->nr_pairs = (result & 0xffff) < result >> 16 ? result & 0xffff : result >> 16;
	n->nr_pairs++;
	n->brk = mark;
	return 0;
}

int nvme_start(struct nvme *n)
{
	int rc;

	n->cap = nvme_get64(n, REG_CAP);
	n->page = 1U << (12 + (n->cap >> 48 & 0xf));
	n->stride = 4U << (n->cap >> 32 & 0xf);
	n->mqes = n->cap & 0xffff;
	n->timeout_ms = (n->cap >> 24 & 0xff) * 500;
	if (n->timeout_ms < ADMIN_TIMEOUT_MS)
		n->timeout_ms = ADMIN_TIMEOUT_MS;

	rc = nvme_setup_pci(n);
	if (!rc)
		rc = nvme_disable(n);
	if (!rc)
		rc = nvme_enable(n);
	if (rc) {
		diag("the controller does not come up (%d), CSTS %#x", rc,
		     nvme_get32(n, REG_CSTS));
		return rc;
	}
	return nvme_identify(n);
}

int nvme_restart(struct nvme *n)
{
	int rc = vfio_reset(&n->v);

	if (rc) {
		diag("VFIO_DEVICE_RESET: %s", strerror(-rc));
		return rc;
	}
	return nvme_start(n);
}

/* The rest of opening, when @rc says that there is a device with memory. */
static int open_rest(struct nvme *n, int rc)
{
	if (!rc) {
		mailbox_find(n);
		rc = nvme_start(n);
	}
	if (rc)
		nvme_close(n);
	return rc;
}

int nvme_open_beside(struct nvme *n, const char *uuid, struct nvme *other, u64 iova, size_t len)
{
	int rc;

	memset(n, 0, sizeof(*n));
	n->uuid = uuid;
	n->bar[0] = BAR0_ADDR;
	n->bar[1] = BAR2_ADDR;
	rc = vfio_open_beside(&n->v, uuid, other ? &other->v : NULL);
	if (rc)
		return rc;
	return open_rest(n, vfio_map_mem(&n->v, len, iova));
}

int nvme_open_mem(struct nvme *n, const char *uuid, size_t len)
{
	return nvme_open_beside(n, uuid, NULL, MEM_IOVA, len);
}

int nvme_open(struct nvme *n, const char *uuid)
{
	return nvme_open_mem(n, uuid, MEM_LEN);
}

/* What the firmware gave the BAR; memory bars are 64 bits wide here. */
static u64 bar_of(struct nvme *n, u32 off)
{
	return (vfio_get(&n->v, CFG, off, 4) & ~0xfULL) | vfio_get(&n->v, CFG, off + 4, 4) << 32;
}

int nvme_open_pci(struct nvme *n, const char *bdf)
{
	int rc;

	memset(n, 0, sizeof(*n));
	rc = pci_open(&n->v, bdf);
	if (!rc) {
		n->bar[0] = bar_of(n, PCI_BASE_ADDRESS_0);
		n->bar[1] = bar_of(n, PCI_BASE_ADDRESS_2);
		rc = pci_map_mem(&n->v, MEM_LEN);
	}
	return open_rest(n, rc);
}

void nvme_close(struct nvme *n)
{
	vfio_close(&n->v);
}

int nvme_check(struct nvme *n)
{
	struct nvme_queue q;
	void *buf;
	int rc;

	buf = nvme_alloc(n, 4096);
	rc = identify(n, 1, 0, buf);
	if (rc)
		return rc;
	rc = nvme_create_pair(n, &q, 1, 16, 16, n->v.nr_vectors > 1);
	if (rc)
		return rc;
	rc = nvme_io(n, &q, IO_READ, 0, n->lba < 4096 ? 4096 / n->lba : 1, buf);
	if (rc) {
		diag("a read on a fresh queue pair: status %x", rc);
		return rc;
	}
	return nvme_delete_pair(n, &q);
}
