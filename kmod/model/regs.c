// SPDX-License-Identifier: GPL-2.0
/*
 * Controller registers of the virtual controller (NVM Express Base 2.0 section
 * 3.1.3; NVMe over PCIe transport 1.0 section 3.1).
 *
 * Owns struct liov_regs: what a guest reads at BAR0 offsets below LIOV_DB_BASE
 * and what a write there means.  A write that needs work is answered with an
 * action; the work itself is the caller's.  Called by control.c for region
 * accesses and by its worker when that work is done.
 *
 * Context: the caller holds liov_instance.reg_lock around every call.
 *
 * CSTS.RDY while CC.EN = 0 marks a controller reset that is still being carried
 * out.  A host waits for RDY = 0 before it enables again (section 3.5.1), so no
 * further state is needed to keep the two apart.
 */
#include "model/model.h"

/* CAP (section 3.1.3.1); linux/nvme.h has only the readers. */
#define LIOV_CAP_CQR		BIT_ULL(16)
#define LIOV_CAP_TO_SHIFT	24
#define LIOV_CAP_DSTRD_SHIFT	32
#define LIOV_CAP_CSS_SHIFT	37
#define LIOV_CAP_MPSMIN_SHIFT	48
#define LIOV_CAP_MPSMAX_SHIFT	52

#define LIOV_CC_MPS_MASK	(0xfU << NVME_CC_MPS_SHIFT)
#define LIOV_CC_AMS_MASK	(0x7U << NVME_CC_AMS_SHIFT)
#define LIOV_CC_SHN_MASK	(0x3U << NVME_CC_SHN_SHIFT)
#define LIOV_CC_IOSQES_MASK	(0xfU << NVME_CC_IOSQES_SHIFT)
#define LIOV_CC_IOCQES_MASK	(0xfU << NVME_CC_IOCQES_SHIFT)
#define LIOV_CC_CSS_MASK	(0x7U << NVME_CC_CSS_SHIFT)
/*
 * Entry sizes may be set after the controller is enabled, since the host learns
 * them from Identify Controller; no other field but EN and SHN may (3.1.3.5).
 */
#define LIOV_CC_ENTRY_SIZES	(LIOV_CC_IOSQES_MASK | LIOV_CC_IOCQES_MASK)
/* Bits 31:24 and 3:1 are reserved; CRIME (24) too, since CAP.CRMS is not 11b. */
#define LIOV_CC_FIELDS		(LIOV_CC_CSS_MASK | LIOV_CC_MPS_MASK | \
				 LIOV_CC_AMS_MASK | LIOV_CC_ENTRY_SIZES)

/* AQA: ASQS and ACQS, 12 bits each, 0's based. */
#define LIOV_AQA_MASK		0x0fff0fffU
/* ASQ, ACQ: bits 11:0 are reserved. */
#define LIOV_AQ_BASE_MASK	(~0xfffULL)

static bool liov_regs_resetting(const struct liov_regs *r)
{
	return !(r->cc & NVME_CC_ENABLE) && (r->csts & NVME_CSTS_RDY);
}

static void liov_regs_set_shst(struct liov_regs *r, u32 shst)
{
	r->csts = (r->csts & ~(u32)NVME_CSTS_SHST_MASK) | shst;
}

/**
 * liov_regs_init() - set up the registers of a new instance
 * @r:   registers; every field is overwritten
 * @cfg: what the virtual controller reports, see struct liov_regs_cfg
 *
 * CAP: physically contiguous queues only (CQR), round robin only (AMS), no
 * subsystem reset, no controller memory buffer, no persistent memory region, one
 * memory page size (section 3.1.3.1).  From VS 2.0 on CRMS.CRWMS must be set, and
 * then CRTO.CRWMT repeats CAP.TO.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
void liov_regs_init(struct liov_regs *r, const struct liov_regs_cfg *cfg)
{
	memset(r, 0, sizeof(*r));
	r->cap = (u64)cfg->mqes | LIOV_CAP_CQR |
		 (u64)cfg->to << LIOV_CAP_TO_SHIFT |
		 (u64)LIGHTIOV_DSTRD << LIOV_CAP_DSTRD_SHIFT |
		 (u64)(cfg->mps & 0xf) << LIOV_CAP_MPSMIN_SHIFT |
		 (u64)(cfg->mps & 0xf) << LIOV_CAP_MPSMAX_SHIFT;
	if (cfg->nvm_css)
		r->cap |= (u64)NVME_CAP_CSS_NVM << LIOV_CAP_CSS_SHIFT;
	if (cfg->vs >= NVME_VS(2, 0, 0))
		r->cap |= NVME_CAP_CRMS_CRWMS;
	r->vs = cfg->vs;
}

/**
 * liov_regs_function_reset() - reset by Function Level Reset or VFIO
 * @r: registers
 *
 * Everything but CAP and VS returns to its default, AQA, ASQ and ACQ too; they
 * survive only a Controller Reset (section 3.7.2).  No action results: the caller
 * stops the queues itself.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
void liov_regs_function_reset(struct liov_regs *r)
{
	r->intm = 0;
	r->cc = 0;
	r->csts = 0;
	r->aqa = 0;
	r->asq = 0;
	r->acq = 0;
}

static u32 liov_regs_read32(const struct liov_regs *r, u32 off)
{
	switch (off) {
	case NVME_REG_CAP:
		return (u32)r->cap;
	case NVME_REG_CAP + 4:
		return r->cap >> 32;
	case NVME_REG_VS:
		return r->vs;
	case NVME_REG_INTMS:
	case NVME_REG_INTMC:
		return r->intm;
	case NVME_REG_CC:
		return r->cc;
	case NVME_REG_CSTS:
		return r->csts;
	case NVME_REG_AQA:
		return r->aqa;
	case NVME_REG_ASQ:
		return (u32)r->asq;
	case NVME_REG_ASQ + 4:
		return r->asq >> 32;
	case NVME_REG_ACQ:
		return (u32)r->acq;
	case NVME_REG_ACQ + 4:
		return r->acq >> 32;
	case NVME_REG_CRTO:
		/* CRWMT; CRIMT is 0 without CRMS.CRIMS (section 3.1.3.21) */
		return r->cap & NVME_CAP_CRMS_CRWMS ? NVME_CAP_TIMEOUT(r->cap) : 0;
	default:
		return 0;
	}
}

/**
 * liov_regs_read() - a guest reads registers
 * @r:    registers
 * @off:  byte offset in BAR0
 * @size: bytes, 1..8
 *
 * The transport allows 32-bit and 64-bit aligned accesses; others give the bytes
 * that are there.  What is reserved, what lies in the doorbell pages and a @size
 * beyond 8 reads as zero.
 *
 * Return: the value, the byte at @off in bits 7:0.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
u64 liov_regs_read(const struct liov_regs *r, u32 off, unsigned int size)
{
	u64 val = 0;
	unsigned int i;

	if (size > 8)
		return 0;
	for (i = 0; i < size && off < LIOV_DB_BASE && i < LIOV_DB_BASE - off; i++) {
		u32 byte = liov_regs_read32(r, (off + i) & ~3U) >> (8 * ((off + i) & 3));

		val |= (u64)(byte & 0xff) << (8 * i);
	}
	return val;
}

/* [a, a + a_len) and [b, b + b_len) both end below 2^64 and do not meet. */
static bool liov_regs_disjoint(u64 a, u64 a_len, u64 b, u64 b_len)
{
	u64 a_end, b_end;

	if (check_add_overflow(a, a_len, &a_end) || check_add_overflow(b, b_len, &b_end))
		return false;
	return a_end <= b || b_end <= a;
}

/* Settings with which CC.EN may be set (sections 3.1.3.5 and 3.1.3.8 to 3.1.3.10). */
static bool liov_regs_enable_ok(const struct liov_regs *r, u32 cc)
{
	u32 mps = NVME_CAP_MPSMIN(r->cap);
	u32 iosqes = (cc & LIOV_CC_IOSQES_MASK) >> NVME_CC_IOSQES_SHIFT;
	u32 iocqes = (cc & LIOV_CC_IOCQES_MASK) >> NVME_CC_IOCQES_SHIFT;
	u32 asqs = (r->aqa & 0xfff) + 1;
	u32 acqs = (r->aqa >> 16 & 0xfff) + 1;
	u64 offset_mask = (1ULL << (12 + mps)) - 1;

	if ((cc & LIOV_CC_MPS_MASK) >> NVME_CC_MPS_SHIFT != mps)
		return false;
	if ((cc & LIOV_CC_CSS_MASK) != NVME_CC_CSS_NVM ||
	    !(NVME_CAP_CSS(r->cap) & NVME_CAP_CSS_NVM))
		return false;
	if ((cc & LIOV_CC_AMS_MASK) != NVME_CC_AMS_RR)
		return false;
	/* 0: to be set before the first I/O queue is created */
	if ((iosqes && iosqes != NVME_NVM_IOSQES) || (iocqes && iocqes != NVME_NVM_IOCQES))
		return false;
	if (asqs < 2 || acqs < 2)
		return false;
	if ((r->asq | r->acq) & offset_mask)
		return false;
	/* not in the specification, but no host with a plan does this */
	return liov_regs_disjoint(r->asq, (u64)asqs * sizeof(struct nvme_command),
				  r->acq, (u64)acqs * sizeof(struct nvme_completion));
}

static enum liov_regs_action liov_regs_write_enabled(struct liov_regs *r, u32 val)
{
	u32 shn = val & LIOV_CC_SHN_MASK;

	if (!(val & NVME_CC_ENABLE)) {
		/*
		 * Controller Reset: of the registers only AQA, ASQ and ACQ stay
		 * (3.1.3.5).  SHN in the same write counts as written after it.
		 */
		r->cc = shn;
		r->intm = 0;
		r->csts |= NVME_CSTS_RDY;
		liov_regs_set_shst(r, shn ? NVME_CSTS_SHST_OCCUR : NVME_CSTS_SHST_NORMAL);
		return LIOV_REGS_DISABLE;
	}

	r->cc = NVME_CC_ENABLE | shn | (val & LIOV_CC_ENTRY_SIZES) |
		(r->cc & LIOV_CC_FIELDS & ~LIOV_CC_ENTRY_SIZES);
	/* A second notification changes nothing: only a reset ends a shutdown (3.6.1). */
	if (!shn || (r->csts & NVME_CSTS_SHST_MASK) != NVME_CSTS_SHST_NORMAL)
		return LIOV_REGS_NONE;
	liov_regs_set_shst(r, NVME_CSTS_SHST_OCCUR);
	return LIOV_REGS_SHUTDOWN;
}

static enum liov_regs_action liov_regs_write_disabled(struct liov_regs *r, u32 val)
{
	u32 shn = val & LIOV_CC_SHN_MASK;

	if (!(val & NVME_CC_ENABLE) || liov_regs_resetting(r)) {
		/*
		 * EN = 1 before RDY = 0 has undefined results (3.1.3.5); here it
		 * is not taken.  A disabled controller has nothing to quiesce, so
		 * a shutdown is complete at once, or with the reset.
		 */
		r->cc = shn | (val & LIOV_CC_FIELDS);
		if (!shn)
			liov_regs_set_shst(r, NVME_CSTS_SHST_NORMAL);
		else
			liov_regs_set_shst(r, liov_regs_resetting(r) ?
					   NVME_CSTS_SHST_OCCUR : NVME_CSTS_SHST_CMPLT);
		return LIOV_REGS_NONE;
	}

	/* A shutdown notified in the very write that enables would be void: dropped. */
	r->cc = NVME_CC_ENABLE | (val & LIOV_CC_FIELDS);
	liov_regs_set_shst(r, NVME_CSTS_SHST_NORMAL);
	if (r->csts & NVME_CSTS_CFS)
		return LIOV_REGS_NONE;
	if (!liov_regs_enable_ok(r, val)) {
		r->csts |= NVME_CSTS_CFS;
		return LIOV_REGS_NONE;
	}
	return LIOV_REGS_ENABLE;
}

static enum liov_regs_action liov_regs_write_cc(struct liov_regs *r, u32 val)
{
	/* 11b is reserved: no notification */
	if ((val & LIOV_CC_SHN_MASK) == LIOV_CC_SHN_MASK)
		val &= ~LIOV_CC_SHN_MASK;
	if (r->cc & NVME_CC_ENABLE)
		return liov_regs_write_enabled(r, val);
	return liov_regs_write_disabled(r, val);
}

static void liov_regs_write_aq_base(u64 *reg, u32 val, bool high)
{
	u64 base;

	if (high)
		base = (u64)val << 32 | (*reg & 0xffffffffULL);
	else
		base = (*reg & ~0xffffffffULL) | val;
	*reg = base & LIOV_AQ_BASE_MASK;
}

static enum liov_regs_action liov_regs_write32(struct liov_regs *r, u32 off, u32 val)
{
	/*
	 * AQA, ASQ and ACQ belong to the controller while it is enabled (3.5.1),
	 * and until a controller reset has let go of the old admin queue.
	 */
	bool aq_writable = !(r->cc & NVME_CC_ENABLE) && !liov_regs_resetting(r);

	switch (off) {
	case NVME_REG_INTMS:
		r->intm |= val;
		break;
	case NVME_REG_INTMC:
		r->intm &= ~val;
		break;
	case NVME_REG_CC:
		return liov_regs_write_cc(r, val);
	case NVME_REG_AQA:
		if (aq_writable)
			r->aqa = val & LIOV_AQA_MASK;
		break;
	case NVME_REG_ASQ:
	case NVME_REG_ASQ + 4:
		if (aq_writable)
			liov_regs_write_aq_base(&r->asq, val, off != NVME_REG_ASQ);
		break;
	case NVME_REG_ACQ:
	case NVME_REG_ACQ + 4:
		if (aq_writable)
			liov_regs_write_aq_base(&r->acq, val, off != NVME_REG_ACQ);
		break;
	default:
		/* read-only, reserved, or NSSR, which CAP.NSSRS = 0 says is not there */
		break;
	}
	return LIOV_REGS_NONE;
}

/**
 * liov_regs_write() - a guest writes registers
 * @r:    registers
 * @off:  byte offset in BAR0; doorbells are not registers and are ignored
 * @val:  value, the byte for @off in bits 7:0
 * @size: bytes; aligned 4 and 8 byte accesses count, all others are ignored
 *
 * An 8 byte access acts as two of 4 bytes, low one first.  Settings that may not
 * be enabled set CSTS.CFS and leave RDY at 0 (section 3.5.1).
 *
 * LIOV_REGS_DISABLE may follow LIOV_REGS_ENABLE before the latter has been
 * answered, and comes even if RDY was 0: CFS too is left by a reset only.
 *
 * Return: what the caller has to do; LIOV_REGS_NONE if nothing.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
enum liov_regs_action liov_regs_write(struct liov_regs *r, u32 off, u64 val,
				      unsigned int size)
{
	enum liov_regs_action low, high;

	if ((size != 4 && size != 8) || off & (size - 1))
		return LIOV_REGS_NONE;
	low = liov_regs_write32(r, off, (u32)val);
	if (size == 4)
		return low;
	high = liov_regs_write32(r, off + 4, val >> 32);
	/* CC is the only register with an action, so one of the two is NONE */
	return low != LIOV_REGS_NONE ? low : high;
}

/**
 * liov_regs_set_ready() - the answer to LIOV_REGS_ENABLE: CSTS.RDY = 1
 * @r: registers
 *
 * Does nothing if the guest has cleared CC.EN meanwhile or CSTS.CFS is set.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
void liov_regs_set_ready(struct liov_regs *r)
{
	if ((r->cc & NVME_CC_ENABLE) && !(r->csts & NVME_CSTS_CFS))
		r->csts |= NVME_CSTS_RDY;
}

/**
 * liov_regs_set_disabled() - the answer to LIOV_REGS_DISABLE: the reset is done
 * @r: registers
 *
 * Clears CSTS.RDY and CSTS.CFS; a shutdown notified meanwhile is complete.  Does
 * nothing while CC.EN = 1.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
void liov_regs_set_disabled(struct liov_regs *r)
{
	if (r->cc & NVME_CC_ENABLE)
		return;
	r->csts = r->cc & LIOV_CC_SHN_MASK ? NVME_CSTS_SHST_CMPLT : 0;
}

/**
 * liov_regs_set_shutdown_done() - the answer to LIOV_REGS_SHUTDOWN: SHST = 10b
 * @r: registers
 *
 * Does nothing if a reset has ended the shutdown meanwhile (section 3.1.3.6).
 *
 * Context: caller holds liov_instance.reg_lock.
 */
void liov_regs_set_shutdown_done(struct liov_regs *r)
{
	if ((r->cc & NVME_CC_ENABLE) &&
	    (r->csts & NVME_CSTS_SHST_MASK) == NVME_CSTS_SHST_OCCUR)
		liov_regs_set_shst(r, NVME_CSTS_SHST_CMPLT);
}

/**
 * liov_regs_set_fatal() - the controller cannot go on: CSTS.CFS = 1
 * @r: registers
 *
 * Stays until a reset (section 9.5).  While set, CC.EN = 1 is stored but never
 * makes the controller ready.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
void liov_regs_set_fatal(struct liov_regs *r)
{
	r->csts |= NVME_CSTS_CFS;
}

/**
 * liov_regs_entry_sizes_ok() - CC.IOSQES and CC.IOCQES fit the NVM command set
 * @r: registers
 *
 * To be asked before an I/O queue is created; the hardware's entries are 64 and
 * 16 bytes whatever the guest says (section 3.1.3.5).
 *
 * Return: true if 64 and 16 byte entries are selected; otherwise Create I/O
 * Submission or Completion Queue fails with Invalid Queue Size.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
bool liov_regs_entry_sizes_ok(const struct liov_regs *r)
{
	return (r->cc & LIOV_CC_ENTRY_SIZES) == (NVME_CC_IOSQES | NVME_CC_IOCQES);
}

/**
 * liov_regs_is_running() - may the controller use its queues?
 * @r: registers
 *
 * Not before it is ready, and not from the moment on in which the host disables it or
 * notifies it of a shutdown: admin queue memory may be freed when CSTS.RDY is 0 or
 * CSTS.SHST says complete (sections 3.5.1 and 3.6.1), and a shutdown ends by a reset only.
 *
 * Return: true if it may.
 *
 * Context: caller holds liov_instance.reg_lock.
 */
bool liov_regs_is_running(const struct liov_regs *r)
{
	return (r->cc & NVME_CC_ENABLE) &&
	       (r->csts & (NVME_CSTS_RDY | NVME_CSTS_CFS | NVME_CSTS_SHST_MASK)) == NVME_CSTS_RDY;
}
