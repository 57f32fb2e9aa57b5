/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A minimal NVMe driver on vfio.h, for tests: one admin queue, I/O queues of
 * any shape, nothing hidden.  Little-endian hosts only.
 *
 * Commands return a status: 0, the NVMe status (SCT << 8 | SC), or a negative
 * errno when no answer came.
 */
#ifndef _LIOV_NVME_H
#define _LIOV_NVME_H

#include "../../uapi/lightiov.h"
#include "vfio.h"

/* Registers (NVMe Base 2.0 section 3.1.3). */
#define REG_CAP			0x00
#define REG_VS			0x08
#define REG_INTMS		0x0c
#define REG_INTMC		0x10
#define REG_CC			0x14
#define REG_CSTS		0x1c
#define REG_NSSR		0x20
#define REG_AQA			0x24
#define REG_ASQ			0x28
#define REG_ACQ			0x30
#define REG_DB			0x1000

#define CC_EN			BIT(0)
#define CC_CSS(x)		((u32)(x) << 4)
#define CC_MPS(x)		((u32)(x) << 7)
#define CC_AMS(x)		((u32)(x) << 11)
#define CC_SHN(x)		((u32)(x) << 14)
#define CC_IOSQES		(6U << 16)
#define CC_IOCQES		(4U << 20)

#define CSTS_RDY		BIT(0)
#define CSTS_CFS		BIT(1)
#define CSTS_SHST		(3U << 2)
#define CSTS_SHST_DONE		(2U << 2)

/* Admin and NVM opcodes. */
#define ADM_DELETE_SQ		0x00
#define ADM_CREATE_SQ		0x01
#define ADM_GET_LOG		0x02
#define ADM_DELETE_CQ		0x04
#define ADM_CREATE_CQ		0x05
#define ADM_IDENTIFY		0x06
#define ADM_ABORT		0x08
#define ADM_SET_FEATURES	0x09
#define ADM_GET_FEATURES	0x0a
#define ADM_AER			0x0c
#define IO_FLUSH		0x00
#define IO_WRITE		0x01
#define IO_READ			0x02
#define IO_WRITE_UNC		0x04
#define IO_COMPARE		0x05
#define IO_WRITE_ZEROES		0x08
#define IO_DSM			0x09
#define IO_VERIFY		0x0c
#define IO_COPY			0x19

/* Identify Controller, ONCS: which of them are offered. */
#define ONCS_COMPARE		BIT(0)
#define ONCS_WRITE_UNC		BIT(1)
#define ONCS_DSM		BIT(2)
#define ONCS_WRITE_ZEROES	BIT(3)
#define ONCS_VERIFY		BIT(7)
#define ONCS_COPY		BIT(8)

/* Dataset Management, CDW11: deallocate. */
#define DSM_AD			BIT(2)

/* Status: SCT << 8 | SC. */
#define SC_OK			0x000
#define SC_INVALID_OPCODE	0x001
#define SC_INVALID_FIELD	0x002
#define SC_CID_CONFLICT		0x003
#define SC_DATA_TRANSFER	0x004
#define SC_ABORTED		0x007
#define SC_ABORTED_SQ_DELETE	0x008
#define SC_INVALID_NS		0x00b
#define SC_SEQUENCE		0x00c
#define SC_BAD_PRP_OFFSET	0x013
#define SC_LBA_RANGE		0x080
#define SC_NS_NOT_READY		0x082
#define SC_SIZE_LIMIT		0x183
#define SC_CQ_INVALID		0x100
#define SC_QID_INVALID		0x101
#define SC_QUEUE_SIZE		0x102
#define SC_ABORT_LIMIT		0x103
#define SC_AER_LIMIT		0x105
#define SC_VECTOR_INVALID	0x108
#define SC_LOG_INVALID		0x109
#define SC_QUEUE_DELETION	0x10c
#define SC_NOT_SAVEABLE		0x10d
#define SC_NOT_CHANGEABLE	0x10e
#define SC_NOT_NS_SPECIFIC	0x10f
#define SC_COMPARE		0x285

struct nvme_sqe {
	u8  opcode;
	u8  flags;
	u16 cid;
	u32 nsid;
	u32 cdw2, cdw3;
	u64 mptr;
	u64 prp1, prp2;
	u32 cdw10, cdw11, cdw12, cdw13, cdw14, cdw15;
};

struct nvme_cqe {
	u32 result;
	u32 rsvd;
	u16 sqhd;
	u16 sqid;
	u16 cid;
	u16 status;	/* bit 0: phase */
};

/* A range of Dataset Management and a source range, format 0, of Copy. */
struct nvme_dsm {
	u32 attr;
	u32 nlb;
	u64 slba;
};

struct nvme_copy {
	u64 rsvd;
	u64 slba;
	u16 nlb;	/* 0's based */
	u8 tail[14];
};

/* Instead of a vector: no interrupts. */
#define NVME_POLLED		0xffff

#define NVME_SEEN		64

/**
 * struct nvme_queue - a submission queue and the completion queue it posts to
 * @qid:     of both
 * @seen:    completions that came while another one was awaited
 * @list:    one page for the PRP list of a synchronous command
 */
struct nvme_queue {
	u16 qid;
	u16 vector;
	u32 sq_depth, cq_depth;
	struct nvme_sqe *sq;
	struct nvme_cqe *cq;
	u64 *list;
	u32 tail, head;
	u8 phase;
	u16 next_cid;
	struct nvme_cqe seen[NVME_SEEN];
	unsigned int nr_seen;
};

/**
 * struct nvme - the controller
 * @v:        device and memory
 * @vsec:     position of the LightIOV capability, 0 if there is none
 * @uuid:     of the mdev; NULL with nvme_open_pci()
 * @bar:      addresses of BAR0 and BAR2
 * @direct:   direct mode
 * @dma_base: what the device calls the start of @v.mem
 * @brk:      first free byte of @v.mem, @base its value without any queue
 * @nr_pairs: I/O queue pairs granted
 * @oncs:     optional commands offered
 * @nsid:     first active namespace, @lba bytes a block, @nsze blocks
 * @max_xfer: bytes of one command (MDTS), at most 1 MiB
 * @sq_live, @cq_live: I/O queues that exist, bit per qid
 */
struct nvme {
	struct vfio v;
	const char *uuid;
	u64 bar[2];
	u64 cap;
	u32 page;
	u32 stride;
	u32 mqes;
	u32 timeout_ms;
	u8 vsec;
	bool direct;
	u64 dma_base;
	size_t brk, base;
	struct nvme_queue adm;
	u8 id[4096];
	u16 nr_pairs;
	u16 oncs;
	u32 nsid;
	u32 lba;
	u64 nsze;
	u32 max_xfer;
	u32 sq_live, cq_live;
};

/* Opens the device and brings it up; the namespace must not be in use. */
int nvme_open(struct nvme *n, const char *uuid);
/* The same with @len bytes of memory only. */
int nvme_open_mem(struct nvme *n, const char *uuid, size_t len);
/* In the container of @other, with @len bytes at @iova; closed before @other. */
int nvme_open_beside(struct nvme *n, const char *uuid, struct nvme *other, u64 iova, size_t len);
/* Inside a guest: the function @bdf, without VFIO. */
int nvme_open_pci(struct nvme *n, const char *bdf);
void nvme_close(struct nvme *n);

/* nvme_start() in steps: PCI setup and windows, then CC.EN, then identify. */
int nvme_setup_pci(struct nvme *n);
int nvme_disable(struct nvme *n);
int nvme_enable(struct nvme *n);
int nvme_wait_csts(struct nvme *n, u32 mask, u32 val, u32 ms);
int nvme_identify(struct nvme *n);
int nvme_start(struct nvme *n);
/* VFIO_DEVICE_RESET and all of the above. */
int nvme_restart(struct nvme *n);

/* Memory of the device, page aligned and zeroed; NULL when used up. */
void *nvme_alloc(struct nvme *n, size_t len);
void nvme_free_all(struct nvme *n);
u64 nvme_dma(struct nvme *n, const void *p);
/* The other way: where @addr lies in @n->v.mem, NULL if it does not. */
void *nvme_ptr(struct nvme *n, u64 addr);

/* A file of the instance's directory in sysfs as a number: -ENOENT and the like. */
long long nvme_sysfs(struct nvme *n, const char *name);

u32 nvme_get32(struct nvme *n, u32 reg);
u64 nvme_get64(struct nvme *n, u32 reg);
void nvme_put32(struct nvme *n, u32 reg, u32 val);
void nvme_put64(struct nvme *n, u32 reg, u64 val);

/* Mailbox: 0, a positive errno from the host, or -ETIMEDOUT. */
int nvme_mailbox(struct nvme *n, u32 cmd, u64 gpa, u64 size, u64 *bus);

/* Region offsets of doorbells. */
u64 nvme_sq_db(struct nvme *n, u16 qid);
u64 nvme_cq_db(struct nvme *n, u16 qid);

/* Returns the CID it gave the command. */
u16 nvme_submit(struct nvme *n, struct nvme_queue *q, const struct nvme_sqe *sqe);
/* The same without ringing. */
u16 nvme_queue_cmd(struct nvme_queue *q, const struct nvme_sqe *sqe);
void nvme_ring(struct nvme *n, struct nvme_queue *q);
/* Takes one completion off the ring; false if there is none. */
bool nvme_reap(struct nvme *n, struct nvme_queue *q, struct nvme_cqe *cqe);
/* Waits for the completion of @cid: 0 or -ETIMEDOUT. */
int nvme_wait(struct nvme *n, struct nvme_queue *q, u16 cid, struct nvme_cqe *cqe, u32 ms);
int nvme_status(const struct nvme_cqe *cqe);

int nvme_admin(struct nvme *n, const struct nvme_sqe *sqe, u32 *result);

struct nvme_sqe cmd_identify(u8 cns, u32 nsid, u64 prp1);
struct nvme_sqe cmd_create_cq(u16 qid, u32 depth, u64 prp1, u16 vector);
struct nvme_sqe cmd_create_sq(u16 qid, u32 depth, u64 prp1, u16 cqid);
struct nvme_sqe cmd_delete(u8 opcode, u16 qid);
struct nvme_sqe cmd_log(u8 lid, u32 nsid, u64 prp1, u32 len);

/* On the rings @q has, as they are. */
int nvme_make_pair(struct nvme *n, struct nvme_queue *q);
int nvme_create_pair(struct nvme *n, struct nvme_queue *q, u16 qid, u32 sq_depth,
		     u32 cq_depth, u16 vector);
int nvme_delete_pair(struct nvme *n, struct nvme_queue *q);
/* Deletes whatever I/O queues exist; 0 or the first failure. */
int nvme_delete_all(struct nvme *n);

/* Fills PRP1 and PRP2 for @len bytes at @buf; @list is a page for the list. */
void nvme_set_prps(struct nvme *n, struct nvme_sqe *sqe, const void *buf, u32 len, u64 *list);
/* One I/O command, waited for. */
int nvme_cmd(struct nvme *n, struct nvme_queue *q, const struct nvme_sqe *sqe);
/* A command of LBAs with PRP1 only. */
struct nvme_sqe cmd_rw(struct nvme *n, u8 opcode, u64 slba, u32 nlb, const void *buf);
/* One command on @nlb blocks, waited for. */
int nvme_io(struct nvme *n, struct nvme_queue *q, u8 opcode, u64 slba, u32 nlb, void *buf);

/* "Does the device still work?": identify and a 4 KiB read on a fresh queue pair. */
int nvme_check(struct nvme *n);

#endif /* _LIOV_NVME_H */
