// SPDX-License-Identifier: GPL-2.0
/*
 * The guard: may this I/O command of a guarded instance go to the hardware, and how
 * does it look there?  (NVM Command Set 1.0 section 3.2, NVM Express Base 2.0 sections
 * 3.3.3.1 and 4.1.1.)
 *
 * Owns no state.  The command for the hardware is made from nothing and gets only what
 * was checked; what is not named here never leaves the guest.  That is also how
 * metadata and protection information stay out: backings with either are refused, so
 * their fields mean nothing and are 0.
 *
 * Everything in guest memory (a PRP list, ranges, descriptors) is copied into the
 * command's own page, each byte once, and checked and translated there; nothing the
 * guest stores later can change what the device does.
 *
 * Checks come in the order opcode, FUSE and PSDT, NSID, other fields, LBA range, PRPs.
 *
 * Context: called by guarded_submit.c in the thread that submits, under liov_sq.submit.  May
 * sleep if the functions of struct liov_guard_env do.
 */
#include "model/model.h"

#define LIOV_PAGE_MASK		(LIOV_GUARD_PAGE_SIZE - 1)
#define LIOV_LIST_ENTRIES	((u32)(LIOV_GUARD_PAGE_SIZE / sizeof(__le64)))

/* CDW0 bits 15:14 and 9:8; both 0: a PRP command that is not fused. */
#define LIOV_CMD_PSDT_FUSE	(NVME_CMD_SGL_ALL | NVME_CMD_FUSE_FIRST | NVME_CMD_FUSE_SECOND)

/* CDW12 bits 23:20 of commands that write, as bits of its upper half. */
#define LIOV_RW_DTYPE		0x00f0
/* CDW13 bits 7:0, Dataset Management of Read and Write. */
#define LIOV_RW_DSM		0xff

/* Bits of a range's context attributes that have a meaning: AF, AL, SR, SW, WP, CAS. */
#define LIOV_DSM_CATTR		0xff00073f
#define LIOV_DSM_ATTRIBUTES	(NVME_DSMGMT_IDR | NVME_DSMGMT_IDW | NVME_DSMGMT_AD)

/* Verify and Copy: linux/nvme.h lacks some of it. */
#define LIOV_ONCS_VERIFY	BIT(7)
#define LIOV_ONCS_COPY		BIT(8)
#define LIOV_COPY_FORMAT	0x0f00	/* CDW12 bits 11:8, Descriptor Format */
#define LIOV_COPY_NR		0x00ff	/* CDW12 bits 7:0, 0's based */

/**
 * struct liov_copy_range - source range of a Copy, Descriptor Format 0h
 * @rsvd0:  reserved
 * @slba:   first LBA
 * @nlb:    LBAs, 0's based
 * @rsvd18: reserved
 * @eilbrt: expected initial reference tag
 * @elbat:  expected application tag
 * @elbatm: its mask
 */
struct liov_copy_range {
	__le64 rsvd0;
	__le64 slba;
	__le16 nlb;
	u8     rsvd18[6];
	__le32 eilbrt;
	__le16 elbat;
	__le16 elbatm;
};

/**
 * struct liov_guard_job - one command on its way through the guard
 * @g:       what the instance may do
 * @env:     guest memory, host memory
 * @in:      the guest's command
 * @out:     the hardware's
 * @nlb:     LBAs of the backing, the same for all checks of this command
 * @writes:  the command writes to memory
 * @step:    the 2 MiB step looked up last
 * @step_no: its number; LIOV_NO_STEP: none yet
 */
struct liov_guard_job {
	const struct liov_guard *g;
	const struct liov_guard_env *env;
	const struct nvme_command *in;
	struct liov_guarded *out;
	u64 nlb;
	bool writes;
	struct liov_step_map step;
	u64 step_no;
};

/* No address is in it. */
#define LIOV_NO_STEP		(~0ULL)

static u16 liov_guard_access(const struct liov_guard_job *job, u64 *bus)
{
	if (unlikely(*bus & LIOV_STEP_RO)) {
		if (job->writes)
			return NVME_SC_DATA_XFER_ERROR | NVME_STATUS_DNR;
		*bus &= ~LIOV_STEP_RO;
	}
	return NVME_SC_SUCCESS;
}

/*
 * The bus address of page @i of the step looked up.  Entries are read once: an unmap on
 * another CPU may take one away at any time.
 */
static u64 liov_guard_entry(const struct liov_guard_job *job, unsigned int i)
{
	if (job->step.bus)
		return READ_ONCE(job->step.bus[i]);
	return job->step.base + ((u64)i << LIOV_GUARD_PAGE_SHIFT);
}

/* The bus address of the page that holds @gpa. */
static u16 liov_guard_page(struct liov_guard_job *job, u64 gpa, u64 *bus)
{
	unsigned int i = (gpa >> LIOV_GUARD_PAGE_SHIFT) & (LIOV_STEP_PAGES - 1);
	u16 status = NVME_SC_SUCCESS;

	if (likely(job->step_no == gpa >> LIOV_STEP_SHIFT)) {
		*bus = liov_guard_entry(job, i);
		if (likely(*bus != LIOV_NO_DMA))
			return liov_guard_access(job, bus);
	}

	/* not looked up yet, or a page that is not mapped yet */
	job->step_no = LIOV_NO_STEP;
	job->step = job->env->step(job->env->ctx, gpa, &status);
	if (likely(!liov_step_none(job->step))) {
		job->step_no = gpa >> LIOV_STEP_SHIFT;
		*bus = liov_guard_entry(job, i);
		if (likely(*bus != LIOV_NO_DMA))
			return liov_guard_access(job, bus);
	}
	return status ? status : NVME_SC_DATA_XFER_ERROR | NVME_STATUS_DNR;
}

/*
 * Copies the @n entries of the PRP list at @gpa to @list.  The last entry of a memory
 * page is the address of the next list if more than one is still needed (Base section
 * 4.1.1); the entry that comes after it takes its place, so that the copy has no chain.
 */
static u16 liov_guard_read_list(const struct liov_guard_job *job, u64 gpa, __le64 *list, u32 n)
{
	u32 in_page = (LIOV_GUARD_PAGE_SIZE - (gpa & LIOV_PAGE_MASK)) / sizeof(*list);
	u16 status;

	while (n > in_page) {
		status = job->env->read(job->env->ctx, gpa, list, in_page * sizeof(*list));
		if (status)
			return status;
		list += in_page - 1;
		n -= in_page - 1;
		gpa = le64_to_cpu(*list);
		if (gpa & LIOV_PAGE_MASK)
			return NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR;
		in_page = LIOV_LIST_ENTRIES;
	}
	return job->env->read(job->env->ctx, gpa, list, n * sizeof(*list));
}

/* PRP2 for what @left bytes follow the page of PRP1, if they do not fit one page. */
static u16 liov_guard_list(struct liov_guard_job *job, u64 prp2, u32 left)
{
	u32 n = (left + LIOV_PAGE_MASK) >> LIOV_GUARD_PAGE_SHIFT;
	u64 list_bus, gpa, bus;
	__le64 *list;
	u16 status;
	u32 i;

	if (prp2 & (sizeof(*list) - 1))
		return NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR;
	/* LIOV_GUARD_MAX_BYTES keeps n in the page */
	list = job->env->page(job->env->ctx, n, &list_bus);
	if (!list)
		return NVME_SC_INTERNAL;
	status = liov_guard_read_list(job, prp2, list, n);
	if (status)
		return status;

	for (i = 0; i < n; i++) {
		gpa = le64_to_cpu(list[i]);
		if (gpa & LIOV_PAGE_MASK)
			return NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR;
		status = liov_guard_page(job, gpa, &bus);
		if (status)
			return status;
		list[i] = cpu_to_le64(bus);
	}
	job->out->cmd.common.dptr.prp2 = cpu_to_le64(list_bus);
	return NVME_SC_SUCCESS;
}

/* Checks PRP1 and PRP2 for @len bytes of data and puts bus addresses into the command. */
static u16 liov_guard_data(struct liov_guard_job *job, u32 len)
{
	u64 prp1 = le64_to_cpu(job->in->common.dptr.prp1);
	u64 prp2 = le64_to_cpu(job->in->common.dptr.prp2);
	u32 offset = prp1 & LIOV_PAGE_MASK;
	u16 status;
	u64 bus;

	if (prp1 & 3)
		return NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR;
	status = liov_guard_page(job, prp1, &bus);
	if (status)
		return status;
	job->out->cmd.common.dptr.prp1 = cpu_to_le64(bus + offset);
	if (len <= LIOV_GUARD_PAGE_SIZE - offset)
		return NVME_SC_SUCCESS;

	len -= LIOV_GUARD_PAGE_SIZE - offset;
	if (len > LIOV_GUARD_PAGE_SIZE)
		return liov_guard_list(job, prp2, len);
	if (prp2 & LIOV_PAGE_MASK)
		return NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR;
	status = liov_guard_page(job, prp2, &bus);
	if (status)
		return status;
	job->out->cmd.common.dptr.prp2 = cpu_to_le64(bus);
	return NVME_SC_SUCCESS;
}

/*
 * Copies the @nr ranges or descriptors of a command, at most a page of them, into the
 * command's own page, which the hardware will read instead.  NULL and *@status if that
 * fails.
 */
static void *liov_guard_fetch(struct liov_guard_job *job, u32 nr, u32 len, u16 *status)
{
	u64 prp1 = le64_to_cpu(job->in->common.dptr.prp1);
	u64 prp2 = le64_to_cpu(job->in->common.dptr.prp2);
	u32 first = min_t(u32, len, LIOV_GUARD_PAGE_SIZE - (prp1 & LIOV_PAGE_MASK));
	void *page;
	u64 bus;

	*status = NVME_SC_PRP_INVALID_OFFSET | NVME_STATUS_DNR;
	if (prp1 & 3)
		return NULL;
	if (len > first && (prp2 & LIOV_PAGE_MASK))
		return NULL;
	page = job->env->page(job->env->ctx, nr, &bus);
	*status = NVME_SC_INTERNAL;
	if (!page)
		return NULL;
	*status = job->env->read(job->env->ctx, prp1, page, first);
	if (*status)
		return NULL;
	if (len > first) {
		*status = job->env->read(job->env->ctx, prp2, page + first, len - first);
		if (*status)
			return NULL;
	}
	job->out->cmd.common.dptr.prp1 = cpu_to_le64(bus);
	return page;
}

/* The hardware's SLBA for @n LBAs at @slba of the backing; no sum can overflow. */
static u16 liov_guard_lbas(const struct liov_guard_job *job, u64 slba, u64 n, u64 *hw_slba)
{
	if (slba > job->nlb || n > job->nlb - slba)
		return NVME_SC_LBA_RANGE | NVME_STATUS_DNR;
	*hw_slba = job->g->first + slba;
	return NVME_SC_SUCCESS;
}

/* Which limit of struct liov_guard binds a command. */
enum liov_rw_limit { LIOV_LIMIT_MDTS, LIOV_LIMIT_VSL, LIOV_LIMIT_WUSL, LIOV_LIMIT_WZSL };

/**
 * struct liov_rw_rules - what a command of the form of Read and Write may have
 * @io:      its kind
 * @control: bits of the upper half of CDW12 that go on to the hardware
 * @dtype:   it has a Directive Type
 * @dsm:     it has Dataset Management hints
 * @data:    it transfers its LBAs
 * @limit:   else: which limit of struct liov_guard is its own
 */
struct liov_rw_rules {
	enum liov_io_class io;
	u16 control;
	bool dtype;
	bool dsm;
	bool data;
	enum liov_rw_limit limit;
};

static const struct liov_rw_rules liov_rules_read = {
	.io = LIOV_IO_READ, .control = NVME_RW_LR | NVME_RW_FUA, .dsm = true, .data = true,
};

static const struct liov_rw_rules liov_rules_write = {
	.io = LIOV_IO_WRITE, .control = NVME_RW_LR | NVME_RW_FUA, .dtype = true, .dsm = true,
	.data = true,
};

static const struct liov_rw_rules liov_rules_compare = {
	.io = LIOV_IO_READ, .control = NVME_RW_LR | NVME_RW_FUA, .data = true,
};

static const struct liov_rw_rules liov_rules_verify = {
	.io = LIOV_IO_READ, .control = NVME_RW_LR | NVME_RW_FUA, .limit = LIOV_LIMIT_VSL,
};

static const struct liov_rw_rules liov_rules_write_uncor = {
	.io = LIOV_IO_WRITE, .dtype = true, .limit = LIOV_LIMIT_WUSL,
};

static const struct liov_rw_rules liov_rules_write_zeroes = {
	.io = LIOV_IO_DISCARD, .control = NVME_RW_LR | NVME_RW_FUA | NVME_WZ_DEAC, .dtype = true,
	.limit = LIOV_LIMIT_WZSL,
};

static u32 liov_guard_limit(const struct liov_guard *g, enum liov_rw_limit limit)
{
	switch (limit) {
	case LIOV_LIMIT_VSL:
		return g->max_verify;
	case LIOV_LIMIT_WUSL:
		return g->max_uncor;
	case LIOV_LIMIT_WZSL:
		return g->max_zeroes;
	default:
		return min_t(u32, g->max_bytes, LIOV_GUARD_MAX_BYTES);
	}
}

/*
 * Commands that name one range of LBAs in the command itself.  MDTS binds only those
 * that transfer data (Base section 5.17.2.1); the others have limits of their own
 * (limits.c) and the same status for what is beyond.
 */
static u16 liov_guard_rw(struct liov_guard_job *job, const struct liov_rw_rules *rules)
{
	const struct nvme_rw_command *in = &job->in->rw;
	struct nvme_rw_command *out = &job->out->cmd.rw;
	u16 control = le16_to_cpu(in->control);
	u32 n = le16_to_cpu(in->length) + 1U;
	u64 bytes = (u64)n << job->g->lba_shift;
	u64 slba;
	u16 status;

	/* no directive is enabled, Identify offers none */
	if (rules->dtype && (control & LIOV_RW_DTYPE))
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	if (bytes > liov_guard_limit(job->g, rules->limit))
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	status = liov_guard_lbas(job, le64_to_cpu(in->slba), n, &slba);
	if (status)
		return status;

	out->slba = cpu_to_le64(slba);
	out->length = in->length;
	out->control = cpu_to_le16(control & rules->control);
	if (rules->dsm)
		out->dsmgmt = cpu_to_le32(le32_to_cpu(in->dsmgmt) & LIOV_RW_DSM);
	job->out->io = rules->io;
	job->out->bytes = bytes;
	if (!rules->data)
		job->out->load = min_t(u64, bytes, LIOV_LOAD_MAX);
	return rules->data ? liov_guard_data(job, bytes) : NVME_SC_SUCCESS;
}

/*
 * Dataset Management.  A range of 0 LBAs is legal and names no LBA, so its SLBA is not
 * looked at; the hardware gets the backing's first one instead.
 */
static u16 liov_guard_dsm(struct liov_guard_job *job)
{
	const struct nvme_dsm_cmd *in = &job->in->dsm;
	struct nvme_dsm_cmd *out = &job->out->cmd.dsm;
	u32 nr = (le32_to_cpu(in->nr) & 0xff) + 1;
	struct nvme_dsm_range *range;
	u64 slba, hw_slba, lbas = 0;
	u32 i, n, cattr;
	u16 status;

	if (nr > job->g->max_dsm_ranges)
		return NVME_SC_CMD_SIZE_LIM_EXCEEDED | NVME_STATUS_DNR;
	range = liov_guard_fetch(job, nr, nr * sizeof(*range), &status);
	if (!range)
		return status;
	for (i = 0; i < nr; i++) {
		cattr = le32_to_cpu(range[i].cattr);
		n = le32_to_cpu(range[i].nlb);
		slba = n ? le64_to_cpu(range[i].slba) : 0;
		status = liov_guard_lbas(job, slba, n, &hw_slba);
		if (status)
			return status;
		range[i].cattr = cpu_to_le32(cattr & LIOV_DSM_CATTR);
		range[i].slba = cpu_to_le64(hw_slba);
		lbas += n;
		if (n > job->g->max_dsm_range || lbas > job->g->max_dsm)
			return NVME_SC_CMD_SIZE_LIM_EXCEEDED | NVME_STATUS_DNR;
	}
	out->nr = cpu_to_le32(nr - 1);
	out->attributes = cpu_to_le32(le32_to_cpu(in->attributes) & LIOV_DSM_ATTRIBUTES);
	job->out->io = LIOV_IO_DISCARD;
	job->out->load = LIOV_LOAD_DSM;
	job->out->bytes = lbas << job->g->lba_shift;
	return NVME_SC_SUCCESS;
}

/*
 * Copy: CDW10 and 11 are the destination's first LBA, CDW12 has the places of Read and
 * Write for what the two share.  Its number of LBAs is known only when the descriptors
 * are, so those are checked first.
 */
static u16 liov_guard_copy(struct liov_guard_job *job)
{
	const struct nvme_rw_command *in = &job->in->rw;
	struct nvme_rw_command *out = &job->out->cmd.rw;
	const struct liov_guard *g = job->g;
	u16 control = le16_to_cpu(in->control);
	u16 form = le16_to_cpu(in->length);
	u32 nr = (form & LIOV_COPY_NR) + 1;
	struct liov_copy_range *range;
	u32 i, n, lbas = 0;
	u16 status, nlb;
	u64 slba;

	if ((control & LIOV_RW_DTYPE) || (form & LIOV_COPY_FORMAT))
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	if (nr > min_t(u32, g->max_copy_ranges, LIOV_COPY_MAX_RANGES))
		return NVME_SC_CMD_SIZE_LIM_EXCEEDED | NVME_STATUS_DNR;
	range = liov_guard_fetch(job, nr, nr * sizeof(*range), &status);
	if (!range)
		return status;
	for (i = 0; i < nr; i++) {
		nlb = le16_to_cpu(range[i].nlb);
		n = nlb + 1U;
		lbas += n;
		if (n > g->max_copy_range || lbas > g->max_copy)
			return NVME_SC_CMD_SIZE_LIM_EXCEEDED | NVME_STATUS_DNR;
		status = liov_guard_lbas(job, le64_to_cpu(range[i].slba), n, &slba);
		if (status)
			return status;
		memset(&range[i], 0, sizeof(range[i]));
		range[i].slba = cpu_to_le64(slba);
		range[i].nlb = cpu_to_le16(nlb);
	}
	status = liov_guard_lbas(job, le64_to_cpu(in->slba), lbas, &slba);
	if (status)
		return status;

	out->slba = cpu_to_le64(slba);
	out->length = cpu_to_le16(nr - 1);
	out->control = cpu_to_le16(control & (NVME_RW_LR | NVME_RW_FUA));
	job->out->io = LIOV_IO_WRITE;
	job->out->bytes = (u64)lbas << g->lba_shift;
	job->out->load = min_t(u64, job->out->bytes, LIOV_LOAD_MAX);
	return NVME_SC_SUCCESS;
}

static bool liov_guard_offers(const struct liov_guard *g, u8 opcode)
{
	switch (opcode) {
	case nvme_cmd_flush:
	case nvme_cmd_write:
	case nvme_cmd_read:
		return true;
	case nvme_cmd_write_uncor:
		return g->oncs & NVME_CTRL_ONCS_WRITE_UNCORRECTABLE;
	case nvme_cmd_compare:
		return g->oncs & NVME_CTRL_ONCS_COMPARE;
	case nvme_cmd_write_zeroes:
		return g->oncs & NVME_CTRL_ONCS_WRITE_ZEROES;
	case nvme_cmd_dsm:
		return g->oncs & NVME_CTRL_ONCS_DSM;
	case nvme_cmd_verify:
		return g->oncs & LIOV_ONCS_VERIFY;
	case LIOV_CMD_COPY:
		return g->oncs & LIOV_ONCS_COPY;
	default:
		return false;
	}
}

/*
 * The guest's only namespace has the highest valid NSID (identify.c), so those below are
 * valid but inactive: Invalid Field (Base section 3.2.1).  FFFFFFFFh is no exception
 * for Flush: VWC in Identify says so.
 */
static u16 liov_guard_nsid(const struct liov_guard *g, u32 nsid)
{
	if (likely(nsid == g->nsid))
		return NVME_SC_SUCCESS;
	if (nsid && nsid < g->nsid)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	return NVME_SC_INVALID_NS | NVME_STATUS_DNR;
}

/**
 * liov_guard_check() - check an I/O command and make the one for the hardware
 * @g:   what the instance may do
 * @env: guest memory and host memory for this command; @env->page is asked for at most
 *       once, each byte of guest memory read at most once
 * @in:  the guest's command, in host memory
 * @out: out: the hardware's, all but the command identifier; not to be used if the
 *       command is refused.  @out->bytes is the size of the LBAs that @in names, also
 *       where no data are transferred
 *
 * Return: 0; or with DNR: Invalid Opcode, Invalid Field, Invalid Namespace or Format, LBA
 * Out of Range, Command Size Limit Exceeded, Invalid PRP Offset; what @env->step or
 * @env->read says; Internal Error without DNR if @env->page has none.
 *
 * Context: any the functions of @env allow; one command at a time on the same @out and
 * page.
 */
u16 liov_guard_check(const struct liov_guard *g, const struct liov_guard_env *env,
		     const struct nvme_command *in, struct liov_guarded *out)
{
	struct liov_guard_job job = {
		.g = g, .env = env, .in = in, .out = out, .nlb = READ_ONCE(g->nlb),
		.writes = in->common.opcode == nvme_cmd_read, .step_no = LIOV_NO_STEP,
	};
	u8 opcode = in->common.opcode;
	u16 status;

	if (!liov_guard_offers(g, opcode))
		return NVME_SC_INVALID_OPCODE | NVME_STATUS_DNR;
	if (in->common.flags & LIOV_CMD_PSDT_FUSE)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	status = liov_guard_nsid(g, le32_to_cpu(in->common.nsid));
	if (status)
		return status;

	memset(out, 0, sizeof(*out));
	out->cmd.common.opcode = opcode;
	out->cmd.common.nsid = cpu_to_le32(g->hw_nsid);

	switch (opcode) {
	case nvme_cmd_read:
		return liov_guard_rw(&job, &liov_rules_read);
	case nvme_cmd_write:
		return liov_guard_rw(&job, &liov_rules_write);
	case nvme_cmd_flush:
		out->io = LIOV_IO_FLUSH;
		out->load = LIOV_LOAD_FLUSH;
		return NVME_SC_SUCCESS;
	case nvme_cmd_write_uncor:
		return liov_guard_rw(&job, &liov_rules_write_uncor);
	case nvme_cmd_compare:
		return liov_guard_rw(&job, &liov_rules_compare);
	case nvme_cmd_write_zeroes:
		return liov_guard_rw(&job, &liov_rules_write_zeroes);
	case nvme_cmd_verify:
		return liov_guard_rw(&job, &liov_rules_verify);
	case nvme_cmd_dsm:
		return liov_guard_dsm(&job);
	case LIOV_CMD_COPY:
		return liov_guard_copy(&job);
	default:
		return NVME_SC_INVALID_OPCODE | NVME_STATUS_DNR;
	}
}

/**
 * liov_guard_refusal() - why the guard refused a command, for statistics
 * @status: what liov_guard_check() returned, not 0
 *
 * Return: the reason that this status stands for.
 *
 * Context: any.
 */
enum liov_refusal liov_guard_refusal(u16 status)
{
	switch (status & ~NVME_STATUS_DNR) {
	case NVME_SC_INVALID_OPCODE:
		return LIOV_REFUSED_OPCODE;
	case NVME_SC_INVALID_FIELD:
	case NVME_SC_CMD_SIZE_LIM_EXCEEDED:
		return LIOV_REFUSED_FIELD;
	case NVME_SC_INVALID_NS:
		return LIOV_REFUSED_NSID;
	case NVME_SC_LBA_RANGE:
		return LIOV_REFUSED_LBA;
	case NVME_SC_PRP_INVALID_OFFSET:
		return LIOV_REFUSED_PRP;
	case NVME_SC_DATA_XFER_ERROR:
		return LIOV_REFUSED_MEMORY;
	default:
		return LIOV_REFUSED_OTHER;
	}
}
