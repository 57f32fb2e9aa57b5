/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The virtual controller as plain data: registers, PCI configuration space,
 * queues, features, identify and log pages.  Nothing here sleeps, allocates,
 * locks or touches hardware; the caller holds liov_instance.reg_lock (registers and
 * configuration space) or liov_instance.lock (the rest) around every call, unless the
 * function says otherwise.  The same files compile into selftests/unit.
 */
#ifndef _LIOV_MODEL_H
#define _LIOV_MODEL_H

#ifdef __KERNEL__
#include <linux/array_size.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/nospec.h>
#include <linux/nvme.h>
#include <linux/overflow.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/types.h>
#include <linux/unaligned.h>
#include <linux/uuid.h>
#else
#include "shim.h"
#endif

#include "../../uapi/lightiov.h"

#define LIOV_MAX_PAIRS		LIGHTIOV_MAX_PAIRS
#define LIOV_MAX_VECTORS	(LIOV_MAX_PAIRS + 1)	/* one per pair and the admin queue */

/* BAR0: registers, then one page for each doorbell (SQ and CQ of qid 0..n). */
#define LIOV_BAR0_SIZE		0x100000		/* power of two > 0x1000 * (1 + 2 * 65) */
#define LIOV_DB_BASE		0x1000
#define LIOV_BAR_MSIX		2			/* 64-bit BAR2: MSI-X table and PBA */
#define LIOV_MSIX_BAR_SIZE	0x2000
#define LIOV_MSIX_TABLE_OFF	0x0000
#define LIOV_MSIX_PBA_OFF	0x1000

/* ---- regs.c: controller registers (NVMe Base 2.0 section 3.1.3) ---- */

/**
 * struct liov_regs_cfg - what the virtual controller's registers report
 * @mqes:  CAP.MQES, 0's based
 * @mps:   CC.MPS of the host driver; the only page size we can offer, since
 *         the hardware has one CC (CAP.MPSMIN = CAP.MPSMAX = @mps)
 * @to:    CAP.TO in units of 500 ms
 * @vs:    VS
 * @nvm_css: hardware offers the NVM command set (CAP.CSS bit 0)
 */
struct liov_regs_cfg {
	u16 mqes;
	u8  mps;
	u8  to;
	u32 vs;
	bool nvm_css;
};

struct liov_regs {
	u64 cap;
	u32 vs;
	u32 intm;	/* INTMS/INTMC state; no effect with MSI-X */
	u32 cc;
	u32 csts;
	u32 aqa;
	u64 asq;
	u64 acq;
};

enum liov_regs_action {
	LIOV_REGS_NONE,
	LIOV_REGS_ENABLE,	/* CC.EN 0 -> 1, settings valid: then liov_regs_set_ready() */
	LIOV_REGS_DISABLE,	/* CC.EN 1 -> 0: stop all, then liov_regs_set_disabled() */
	LIOV_REGS_SHUTDOWN,	/* CC.SHN set: quiesce, then liov_regs_set_shutdown_done() */
};

void liov_regs_init(struct liov_regs *r, const struct liov_regs_cfg *cfg);
void liov_regs_function_reset(struct liov_regs *r);	/* FLR: AQA, ASQ, ACQ cleared too */
u64 liov_regs_read(const struct liov_regs *r, u32 off, unsigned int size);
enum liov_regs_action liov_regs_write(struct liov_regs *r, u32 off, u64 val,
				      unsigned int size);
void liov_regs_set_ready(struct liov_regs *r);
void liov_regs_set_disabled(struct liov_regs *r);
void liov_regs_set_shutdown_done(struct liov_regs *r);
void liov_regs_set_fatal(struct liov_regs *r);
bool liov_regs_entry_sizes_ok(const struct liov_regs *r);
bool liov_regs_is_running(const struct liov_regs *r);

/* ---- pci.c: configuration space ---- */

/**
 * struct liov_pci_ids - identity copied from the physical function
 */
struct liov_pci_ids {
	u16 vendor, device, subvendor, subdevice;
	u8  revision;
};

/*
 * Where the capabilities are: any free dword would do.  In the order of the
 * chain, none overlaps the next and the last ends at 0xd0.
 */
#define LIOV_PCI_PM		0x40
#define LIOV_PCI_MSIX		0x50
#define LIOV_PCI_EXP		0x60
#define LIOV_PCI_EXP_LEN	60	/* version 2: up to and with Slot Status 2 */
#define LIOV_PCI_VNDR		0xa0

struct liov_pci {
	u8  cfg[256];		/* current value */
	u8  wmask[256];		/* bits a plain write may change */
};

enum liov_pci_action {
	LIOV_PCI_NONE		= 0,
	LIOV_PCI_FLR		= 1 << 0,	/* Initiate Function Level Reset written */
	LIOV_PCI_DECODE		= 1 << 2,	/* BAR0's address or memory decode changed */
	LIOV_PCI_VSEC		= 1 << 3,	/* LIGHTIOV_CAP_CMD was written */
	LIOV_PCI_MASTER		= 1 << 4,	/* liov_pci_is_master() changed */
};

void liov_pci_init(struct liov_pci *p, const struct liov_pci_ids *ids,
		   unsigned int nr_vectors, u32 flags);
void liov_pci_function_reset(struct liov_pci *p);
void liov_pci_read(const struct liov_pci *p, u32 off, void *buf, u32 len);
unsigned int liov_pci_write(struct liov_pci *p, u32 off, const void *buf, u32 len);
u64 liov_pci_bar_addr(const struct liov_pci *p, int bar);	/* ~0 when not decoded */
bool liov_pci_is_master(const struct liov_pci *p);
void liov_pci_set_pending(struct liov_pci *p, bool pending);
u32 liov_pci_vsec_get(const struct liov_pci *p, u32 field);	/* LIGHTIOV_CAP_* */
void liov_pci_vsec_set(struct liov_pci *p, u32 field, u32 val);

/* ---- queues.c: which queues exist, and checks of what a guest asks ---- */

struct liov_cq_state {
	u16  vector;
	u8   nr_sqs;		/* I/O SQs that post here */
	bool valid : 1;
	bool ien : 1;
};

struct liov_sq_state {
	u8   cqid;
	bool valid;
};

/* @nr_sqs and @cqid */
static_assert(LIOV_MAX_PAIRS < 256);

/**
 * struct liov_queues - the guest's I/O queues, index = the guest's qid (1..)
 * @nr_pairs:   I/O queue pairs this instance owns
 * @nr_vectors: MSI-X vectors it has
 * @mqes:       CAP.MQES, 0's based
 * @page_size:  bytes of a memory page (CC.MPS)
 * @cq:         completion queues
 * @sq:         submission queues
 */
struct liov_queues {
	u16 nr_pairs;
	u16 nr_vectors;
	u16 mqes;
	u32 page_size;
	struct liov_cq_state cq[LIOV_MAX_PAIRS + 1];
	struct liov_sq_state sq[LIOV_MAX_PAIRS + 1];
};

/**
 * liov_qid_index() - an I/O queue's ID that a guest names, as an index
 * @q:   queues of the instance
 * @qid: as it came
 *
 * Return: @qid, or 0, which is no I/O queue's, if there cannot be such a queue; also
 * where a processor guesses that there can.
 */
static inline u16 liov_qid_index(const struct liov_queues *q, u16 qid)
{
	u32 nr = min_t(u32, q->nr_pairs, LIOV_MAX_PAIRS) + 1;

	return qid < nr ? array_index_nospec(qid, nr) : 0;
}

/**
 * liov_vector_index() - an MSI-X vector that a guest or user space names, as an index
 * @q:      queues of the instance
 * @vector: as it came
 *
 * Return: @vector, or -1 if there is none such.
 */
static inline int liov_vector_index(const struct liov_queues *q, u32 vector)
{
	u32 nr = q->nr_vectors;

	return vector < nr ? array_index_nospec(vector, nr) : -1;
}

/* Each returns 0 or the NVMe status (with NVME_STATUS_DNR where due). */
u16 liov_check_create_cq(const struct liov_queues *q, const struct nvme_command *c);
u16 liov_check_create_sq(const struct liov_queues *q, const struct nvme_command *c);
u16 liov_check_delete_cq(const struct liov_queues *q, const struct nvme_command *c);
u16 liov_check_delete_sq(const struct liov_queues *q, const struct nvme_command *c);
/* Bookkeeping after the hardware did it. */
void liov_queues_add_cq(struct liov_queues *q, const struct nvme_command *c);
void liov_queues_add_sq(struct liov_queues *q, const struct nvme_command *c);
void liov_queues_del_cq(struct liov_queues *q, u16 cqid);
void liov_queues_del_sq(struct liov_queues *q, u16 sqid);
void liov_queues_clear(struct liov_queues *q);
u16 liov_queues_kept(unsigned int want, unsigned int granted, unsigned int most);
u16 liov_queues_in_bar(u64 bar_len, u32 stride);

/* ---- identify.c ---- */

struct liov_guard;

/**
 * struct liov_ident - what makes this instance's identity
 * @uuid:      of the mdev; serial number, SUBNQN, NGUID and EUI-64 derive from it
 * @nsid:      the guest's namespace ID (direct: the physical one); 0 = none
 * @nr_pairs:  I/O queue pairs
 * @vs:        VS the virtual controller reports
 * @cntlid:    controller ID
 * @guard:     guarded: what its commands may do, which Identify tells; NULL in
 *             direct mode
 */
struct liov_ident {
	uuid_t uuid;
	u32 nsid;
	u16 nr_pairs;
	u32 vs;
	u16 cntlid;
	const struct liov_guard *guard;
};

/* What of the hardware's data the guard is made of. */
u16 liov_identify_oncs(const struct nvme_id_ctrl *ctrl, bool guarded);
void liov_identify_copy(const struct nvme_id_ns *ns, u32 *max, u16 *max_range,
			u16 *max_ranges);

/* What the hardware's data must become, in place (4096-byte buffers). */
void liov_identify_ctrl(void *data, const struct liov_ident *id);
void liov_identify_ns(void *data, const struct liov_ident *id);
void liov_identify_ns_indep(void *data);
void liov_identify_ns_list(void *data, const struct liov_ident *id, u32 after_nsid);
void liov_identify_ns_desc(void *data, const struct liov_ident *id, bool csi);

/**
 * enum liov_identify_src - how an Identify command is answered
 */
enum liov_identify_src {
	LIOV_IDENTIFY_CTRL,	/* hardware CNS 01h, then liov_identify_ctrl() */
	LIOV_IDENTIFY_NS,	/* hardware CNS 00h of the backing, then liov_identify_ns() */
	LIOV_IDENTIFY_NS_INDEP,	/* hardware CNS 00h too, then liov_identify_ns_indep() */
	LIOV_IDENTIFY_NS_ZERO,	/* valid but inactive NSID: 4096 zero bytes */
	LIOV_IDENTIFY_NS_LIST,	/* liov_identify_ns_list() */
	LIOV_IDENTIFY_NS_DESC,	/* liov_identify_ns_desc() */
	LIOV_IDENTIFY_CS_CTRL,	/* hardware CNS 06h, if it has one: liov_identify_cs_ctrl() */
	LIOV_IDENTIFY_CS_NS,	/* hardware CNS 05h of the backing: liov_identify_cs_ns() */
	LIOV_IDENTIFY_REFUSE,	/* *status says why */
};

enum liov_identify_src liov_identify_route(const struct nvme_command *c,
					   const struct liov_ident *id, u16 *status);

/* ---- nsident.c ---- */

/**
 * struct liov_ns_ident - what tells a namespace from another, and its format
 * @nguid, @eui64, @uuid: its identifiers; zero what it does not have
 * @nsze:      its size in LBAs; 0 if there is no such namespace
 * @ms:        bytes of metadata per LBA; @ext: they follow the block itself
 * @lba_shift: log2 of the bytes of an LBA
 * @pi:        protection information (DPS)
 * @csi:       command set
 */
struct liov_ns_ident {
	u8 nguid[16];
	u8 eui64[8];
	u8 uuid[16];
	u64 nsze;
	u16 ms;
	bool ext;
	u8 lba_shift;
	u8 pi;
	u8 csi;
};

enum liov_ns_change {
	LIOV_NS_SAME,
	LIOV_NS_GONE,		/* no such namespace any more */
	LIOV_NS_OTHER,		/* another one under its number */
	LIOV_NS_BLOCKS,		/* blocks of another size */
	LIOV_NS_METADATA,
	LIOV_NS_SIZE,		/* has no identifier, and another size */
};

void liov_ns_ident_read(struct liov_ns_ident *id, const struct nvme_id_ns *ns, const u8 *desc);
bool liov_ns_ident_differs(const struct liov_ns_ident *a, const struct liov_ns_ident *b);
enum liov_ns_change liov_ns_ident_compare(const struct liov_ns_ident *was,
					  const struct liov_ns_ident *now);

enum liov_ns_effect {
	LIOV_NS_UNTOUCHED,
	LIOV_NS_LOOK,		/* afterwards */
	LIOV_NS_TAKEN,		/* from its users, before */
};

enum liov_ns_effect liov_ns_command(const struct nvme_command *c, u8 fna, u32 *nsid);
const char *liov_ns_command_name(const struct nvme_command *c);

/* ---- range.c: the text of a backing ---- */

/**
 * struct liov_range - the part behind PATH: in a backing
 * @given: there was one; else the device as a whole is meant
 * @start: first LBA, relative to the device
 * @count: LBAs
 */
struct liov_range {
	bool given;
	u64 start;
	u64 count;
};

bool liov_range_confirmed(char *text);
bool liov_range_parse(char *text, struct liov_range *range);

/* ---- limits.c: how large a command without data may be ---- */

void liov_limits_make(struct liov_guard *g, const struct nvme_id_ctrl_nvm *hw,
		      unsigned int page_shift);
bool liov_limits_fell(const struct liov_guard *was, const struct liov_guard *now);
/* In place, as those of identify.c. */
void liov_identify_cs_ctrl(void *data, const struct liov_ident *id);
void liov_identify_cs_ns(void *data);

/* ---- features.c ---- */

struct liov_features {
	u16 nr_pairs;
	u16 nr_queues;		/* of these granted, 1..nr_pairs */
	u32 arbitration, power, err_recovery, irq_coalesce;
	bool irq_cd[LIOV_MAX_VECTORS];	/* not to be coalesced */
	u32 write_atomic, async_event;
	u16 temp_over[9], temp_under[9];	/* kelvin; 0 composite, 1..8 sensors */
	u32 volatile_wc;
	bool vwc;		/* the drive has a volatile write cache */
	u64 timestamp;		/* ms since epoch, as last set or by the host clock */
	u8  timestamp_origin;
	u64 timestamp_set_at;	/* host clock (ms) when it was set */
	u8  host_id[16];	/* 8 or 16 byte host identifier */
	bool queues_negotiated;
	u32 nsid;		/* the only namespace that features may name */
	u8  def_arbitration;	/* defaults a controller reset brings back */
	u16 def_temp_over;
};

void liov_features_init(struct liov_features *f, u16 nr_pairs, u32 nsid, bool vwc,
			const struct nvme_id_ctrl *id);
void liov_features_reset(struct liov_features *f);	/* controller reset: defaults again */
/*
 * @queues_exist: an I/O queue exists (Number of Queues is then refused with
 * Command Sequence Error).  @now_ms: host clock.  @data: 4096-byte buffer, in
 * for Set and out for Get; *len is how many bytes of it the command transfers
 * (liov_features_data_len() tells it before the data is fetched).
 */
u32 liov_features_data_len(const struct liov_features *f, const struct nvme_command *c);
u16 liov_set_features(struct liov_features *f, const struct nvme_command *c, void *data,
		      bool queues_exist, u64 now_ms, u32 *result);
u16 liov_get_features(const struct liov_features *f, const struct nvme_command *c,
		      void *data, u64 now_ms, u32 *result);

/* ---- log.c: Get Log Page ---- */

#define LIOV_LOG_ERRORS		16	/* entries of the error log: ELPE is one less */

/* What may become an asynchronous event completion. */
enum liov_event {
	LIOV_EVENT_DB_REGISTER,	/* write to a doorbell of no queue */
	LIOV_EVENT_DB_VALUE,	/* value out of range */
	LIOV_EVENT_NS_ATTR,
	LIOV_EVENT_INTERNAL,	/* persistent internal error */
	LIOV_NR_EVENTS
};

enum liov_log_src {
	LIOV_LOG_PASS,		/* the hardware's page, filtered by liov_log_filter() */
	LIOV_LOG_OWN,		/* built here: liov_log_build() */
	LIOV_LOG_REFUSE,
};

/**
 * struct liov_log_req - a Get Log Page command, decoded
 * @lid:    log identifier
 * @offset: byte offset, @len: bytes to transfer
 * @size:   whole size of that log page as we offer it
 * @rae:    Retain Asynchronous Event
 * @nsid:   as the guest gave it
 */
struct liov_log_req {
	u8  lid;
	bool rae;
	u32 nsid;
	u64 offset;
	u32 len;
	u32 size;
};

struct liov_log_state {
	struct liov_error {
		u64 error_count;
		u16 sqid, cmdid, status, param_loc;
		u64 lba;
		u32 nsid;
	} err[LIOV_LOG_ERRORS];	/* newest first */
	u64 error_count;
	u32 changed_ns;		/* nsid whose attributes changed; 0 none */
};

enum liov_log_src liov_log_route(const struct nvme_command *c, const struct liov_ident *id,
				 u32 mdts_bytes, struct liov_log_req *req, u16 *status);
/* @data holds @req->size bytes of the whole page. */
void liov_log_filter(const struct liov_log_req *req, void *data);
void liov_log_build(const struct liov_log_req *req, const struct liov_log_state *st, void *data);
void liov_log_record_error(struct liov_log_state *st, u16 sqid, u16 cmdid, u16 status, u32 nsid);
u32 liov_event_result(enum liov_event ev);

/* ---- prp.c: PRP1/PRP2 of an admin command into a list of pieces ---- */

/**
 * struct liov_prp_seg - one piece of a data buffer
 */
struct liov_prp_seg {
	u64 addr;
	u32 len;
};

/* Reads @len bytes of guest memory at @addr; 0 or a negative errno. */
typedef int (*liov_prp_read_fn)(void *ctx, u64 addr, void *buf, u32 len);

/*
 * Walks PRP1/PRP2 (NVMe Base 2.0 section 4.1.1) for @len bytes.  PRP lists are
 * read once, entry by entry or page by page, through @rd.  Returns the number
 * of pieces (<= @max) or, negated, nothing: *status holds the NVMe status
 * (Invalid Field, Invalid PRP Offset, Data Transfer Error) and 0 is returned.
 */
unsigned int liov_prp_walk(u64 prp1, u64 prp2, u32 len, u32 page_size,
			   liov_prp_read_fn rd, void *ctx,
			   struct liov_prp_seg *seg, unsigned int max, u16 *status);

#include "model/guard.h"

/* ---- rate.c ---- */

#define LIOV_RATE_MAX		BIT_ULL(50)	/* per second */

u64 liov_rate_mult(u64 per_second);
u64 liov_rate_cost(u64 mult, u32 units);
bool liov_rate_allows(u64 due, u64 now, u64 burst);
u64 liov_rate_take(u64 due, u64 now, u64 cost);

/* ---- status.c ---- */

/* Instead of an NVMe status: the host resets the controller, try again after that. */
#define LIOV_SC_LATER		0xfffe

u16 liov_hw_status(int rc);
u16 liov_abort_status(int rc);
u16 liov_guest_status(int rc);

#endif /* _LIOV_MODEL_H */
