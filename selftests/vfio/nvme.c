// SPDX-License-Identifier: GPL-2.0
/*
 * Bringing the controller up and its admin commands; queues are in queue.c.
 * Single-threaded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "nvme.h"

/* Enough for rings, a few transfers of 1 MiB, and room to point at in vain. */
#define MEM_LEN			(16 * SZ_1M)
/* Above 4 GiB, so that a lost upper half shows. */
#define MEM_IOVA		0x100000000ULL

/* Where a guest's firmware could have put the BARs; away from our memory. */
#define BAR0_ADDR		0xe0000000U
#define BAR2_ADDR		0xe0100000U

#define ADMIN_DEPTH		32
/* Under emulation a command may take a while; nothing depends on the figure. */
#define ADMIN_TIMEOUT_MS	60000
#define MAILBOX_TIMEOUT_MS	60000

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

void *nvme_alloc(struct nvme *n, size_t len)
{
	void *p = n->v.mem + n->brk;

	len = (len + n->page - 1) & ~(size_t)(n->page - 1);
	/* Whoever asks for more than a page wants it contiguous. */
	if (n->v.phys && (n->brk & (PIECE_LEN - 1)) + len > PIECE_LEN) {
		n->brk = (n->brk + PIECE_LEN - 1) & ~(PIECE_LEN - 1);
		p = n->v.mem + n->brk;
	}
	if (n->brk > n->v.mem_len || len > n->v.mem_len - n->brk) {
		diag("out of device memory");
		return NULL;
	}
	n->brk += len;
	memset(p, 0, len);
	return p;
}

void nvme_free_all(struct nvme *n)
{
	n->brk = n->base;
}

u64 nvme_dma(struct nvme *n, const void *p)
{
	size_t off = p - n->v.mem;

	if (n->v.phys)
		return n->v.phys[off >> PIECE_SHIFT] + (off & (PIECE_LEN - 1));
	return n->dma_base + off;
}

void *nvme_ptr(struct nvme *n, u64 addr)
{
	size_t i;

	if (!n->v.phys)
		return addr - n->dma_base < n->v.mem_len ? n->v.mem + (addr - n->dma_base) : NULL;
	for (i = 0; i < n->v.mem_len >> PIECE_SHIFT; i++)
		if (addr - n->v.phys[i] < PIECE_LEN)
			return n->v.mem + (i << PIECE_SHIFT) + (addr - n->v.phys[i]);
	return NULL;
}

long long nvme_sysfs(struct nvme *n, const char *name)
{
	char path[256], buf[64] = "";
	FILE *f;

	if (!n->uuid)
		return -ENODEV;
	snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s/lightiov/%s", n->uuid, name);
	f = fopen(path, "r");
	if (!f)
		return -errno;
	if (!fgets(buf, sizeof(buf), f))
		buf[0] = '\0';
	fclose(f);
	return strtoll(buf, NULL, 0);
}

/* ---- windows ---- */

static void find_vsec(struct nvme *n)
{
	u8 pos = 0;

	while ((pos = vfio_find_cap(&n->v, PCI_CAP_ID_VNDR, pos))) {
		if (vfio_get(&n->v, CFG, pos + LIGHTIOV_CAP_MAGIC, 4) != LIGHTIOV_MAGIC ||
		    vfio_get(&n->v, CFG, pos + LIGHTIOV_CAP_VER, 1) != LIGHTIOV_CAP_VERSION)
			continue;
		n->vsec = pos;
		n->direct = vfio_get(&n->v, CFG, pos + LIGHTIOV_CAP_FLAGS, 4) &
			    LIGHTIOV_FLAG_DIRECT;
		return;
	}
}

int nvme_mailbox(struct nvme *n, u32 cmd, u64 gpa, u64 size, u64 *bus)
{
	u64 end = now_ms() + MAILBOX_TIMEOUT_MS;
	u32 status;

	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_GPA_LO, 4, (u32)gpa);
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_GPA_HI, 4, gpa >> 32);
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_SIZE_LO, 4, (u32)size);
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_SIZE_HI, 4, size >> 32);
	vfio_put(&n->v, CFG, n->vsec + LIGHTIOV_CAP_CMD, 4, cmd);
	do {
		status = vfio_get(&n->v, CFG, n->vsec + LIGHTIOV_CAP_STATUS, 4);
		if (status != LIGHTIOV_STATUS_BUSY)
			break;
		sleep_us(1000);
	} while (now_ms() < end);

	switch (status) {
	case LIGHTIOV_STATUS_DONE:
		if (bus)
			*bus = vfio_get(&n->v, CFG, n->vsec + LIGHTIOV_CAP_BUS_LO, 4) |
			       vfio_get(&n->v, CFG, n->vsec + LIGHTIOV_CAP_BUS_HI, 4) << 32;
		return 0;
	case LIGHTIOV_STATUS_ERROR:
		return vfio_get(&n->v, CFG, n->vsec + LIGHTIOV_CAP_ERRNO, 4);
	case LIGHTIOV_STATUS_BUSY:
		return -ETIMEDOUT;
	default:
		return -EPROTO;
	}
}

/* ---- bring-up ---- */

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
		find_vsec(n);
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
	if (n->v.cfg >= 0)
		pci_close(&n->v);
	else
		vfio_close(&n->v);
}

/* ---- admin commands ---- */

/* Which queues exist, from what was asked and granted. */
static void track_queues(struct nvme *n, const struct nvme_sqe *sqe)
{
	u32 bit = BIT(sqe->cdw10 & 31);

	switch (sqe->opcode) {
	case ADM_CREATE_SQ:
		n->sq_live |= bit;
		break;
	case ADM_DELETE_SQ:
		n->sq_live &= ~bit;
		break;
	case ADM_CREATE_CQ:
		n->cq_live |= bit;
		break;
	case ADM_DELETE_CQ:
		n->cq_live &= ~bit;
		break;
	}
}

int nvme_admin(struct nvme *n, const struct nvme_sqe *sqe, u32 *result)
{
	u16 cid = nvme_submit(n, &n->adm, sqe);
	struct nvme_cqe cqe;
	int rc = nvme_wait(n, &n->adm, cid, &cqe, ADMIN_TIMEOUT_MS);

	if (rc)
		return rc;
	if (result)
		*result = cqe.result;
	rc = nvme_status(&cqe);
	if (!rc)
		track_queues(n, sqe);
	return rc;
}

int nvme_delete_all(struct nvme *n)
{
	int rc = 0;

	while (n->sq_live && !rc) {
		struct nvme_sqe sqe = cmd_delete(ADM_DELETE_SQ, ffs(n->sq_live) - 1);

		rc = nvme_admin(n, &sqe, NULL);
	}
	while (n->cq_live && !rc) {
		struct nvme_sqe sqe = cmd_delete(ADM_DELETE_CQ, ffs(n->cq_live) - 1);

		rc = nvme_admin(n, &sqe, NULL);
	}
	return rc;
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
