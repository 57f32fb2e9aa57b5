// SPDX-License-Identifier: GPL-2.0
/*
 * Identify (NVM Express Base 2.0 section 5.17; NVM Command Set 1.0 section 4.1.5).
 *
 * Owns what a guest learns about its controller and its namespace.  The hardware's
 * data is not masked field by field: what is listed here is kept, all else becomes
 * zero, so a field that a later specification adds never reaches a guest by
 * accident.  Zero means "not supported" or "not reported" in every field used here.
 * What identifies the instance derives from the mdev's UUID, so it is the same each
 * time and differs between two instances in one guest.  Called by admin.c.
 *
 * Context: the caller holds the instance lock around every call.
 */
#include "model/model.h"

/* Fields that linux/nvme.h does not name, or not in every version. */
#define LIOV_ID_CTRL_OCFS	534	/* le16: Optional Copy Formats Supported */
#define LIOV_ID_NS_COPY		74	/* MSSRL, MCL, MSRC: limits of Copy, 7 bytes */
#define LIOV_ID_NS_NULBAF	82	/* u8: Number of Unique Capability LBA Formats */

/* NSFEAT bit 4, OPTPERF: NPWG to NOWS are reported; its name in linux/nvme.h changed. */
#define LIOV_NSFEAT_OPTPERF	BIT(4)

/* ONCS bits that linux/nvme.h has no name for (section 5.17.2.1). */
#define LIOV_ONCS_VERIFY	BIT(7)
#define LIOV_ONCS_COPY		BIT(8)
/*
 * Commands on blocks, which the hardware executes.  Not Save and Select in
 * features (ours are not kept) and not reservations (the host's and all the
 * guests' queues belong to one controller, so they would not separate anything).
 */
#define LIOV_ONCS_MASK		(NVME_CTRL_ONCS_COMPARE | \
				 NVME_CTRL_ONCS_WRITE_UNCORRECTABLE | \
				 NVME_CTRL_ONCS_DSM | NVME_CTRL_ONCS_WRITE_ZEROES | \
				 LIOV_ONCS_VERIFY | LIOV_ONCS_COPY)
/*
 * Copy formats 0h and 1h; the later ones name other namespaces.  The guard knows
 * format 0h only.
 */
#define LIOV_OCFS_MASK		0x3
#define LIOV_OCFS_GUARDED	0x1

/* LPA: commands supported and effects (from the hardware), extended data (ours). */
#define LIOV_LPA_EXT_DATA	BIT(2)

/* VWC bits 2:1 = 10b: Flush with NSID FFFFFFFFh is not supported. */
#define LIOV_VWC_NO_BROADCAST	0x04

/* FRMW: one slot, read only.  The log page is filtered to match. */
#define LIOV_FRMW		0x03

/*
 * NSFEAT: thin provisioning, atomics and preferred sizes are properties of the
 * hardware namespace.  Not DAE (bit 2), which needs Error Recovery set in the
 * drive, nor UIDREUSE (bit 3): an mdev may be made again with the same UUID.
 */
#define LIOV_NSFEAT_MASK	(NVME_NS_FEAT_THIN | NVME_NS_FEAT_ATOMICS | \
				 LIOV_NSFEAT_OPTPERF)

/* Bytes [@from, @to) of a structure. */
struct liov_keep {
	u16 from, to;
};

#define LIOV_KEEP(type, first, last) \
	{ offsetof(struct type, first), offsetofend(struct type, last) }

/* Ascending offsets. */
static const struct liov_keep liov_keep_ctrl[] = {
	LIOV_KEEP(nvme_id_ctrl, vid, ssvid),
	LIOV_KEEP(nvme_id_ctrl, mn, ieee),		/* MN, FR, RAB, IEEE */
	LIOV_KEEP(nvme_id_ctrl, mdts, mdts),
	LIOV_KEEP(nvme_id_ctrl, rtd3r, rtd3e),
	LIOV_KEEP(nvme_id_ctrl, lpa, lpa),
	LIOV_KEEP(nvme_id_ctrl, wctemp, cctemp),
	LIOV_KEEP(nvme_id_ctrl, oncs, oncs),
	LIOV_KEEP(nvme_id_ctrl, vwc, awupf),		/* VWC, AWUN, AWUPF */
	{ LIOV_ID_CTRL_OCFS, LIOV_ID_CTRL_OCFS + 2 },
	LIOV_KEEP(nvme_id_ctrl, psd[0], psd[0]),
};

static const struct liov_keep liov_keep_ns[] = {
	LIOV_KEEP(nvme_id_ns, nsze, dps),		/* sizes, NSFEAT, formats, MC, PI */
	LIOV_KEEP(nvme_id_ns, dlfeat, nawupf),		/* DLFEAT, NAWUN, NAWUPF */
	LIOV_KEEP(nvme_id_ns, nabsn, nows),		/* boundaries, NVMCAP, preferred sizes */
	{ LIOV_ID_NS_COPY, LIOV_ID_NS_COPY + 7 },
	{ LIOV_ID_NS_NULBAF, LIOV_ID_NS_NULBAF + 1 },
	LIOV_KEEP(nvme_id_ns, nsattr, nsattr),
	LIOV_KEEP(nvme_id_ns, lbaf, lbaf),
};

static void liov_keep_only(void *data, const struct liov_keep *keep, unsigned int n)
{
	unsigned int i, end = 0;
	u8 *p = data;

	for (i = 0; i < n; i++) {
		memset(p + end, 0, keep[i].from - end);
		end = keep[i].to;
	}
	memset(p + end, 0, NVME_IDENTIFY_DATA_SIZE - end);
}

static char *liov_hex(char *out, const u8 *in, unsigned int n)
{
	static const char digits[] = "0123456789abcdef";
	unsigned int i;

	for (i = 0; i < n; i++) {
		*out++ = digits[in[i] >> 4];
		*out++ = digits[in[i] & 0xf];
	}
	return out;
}

/*
 * 20 hex digits hold 10 of the UUID's 16 bytes; the other six are folded in, since
 * UUIDs made by hand differ at one end only and time-based ones at the other.
 */
static void liov_serial(char sn[20], const uuid_t *uuid)
{
	u8 fold[10];
	unsigned int i;

	memcpy(fold, uuid->b, sizeof(fold));
	for (i = 0; i < sizeof(uuid->b) - sizeof(fold); i++)
		fold[i] ^= uuid->b[sizeof(fold) + i];
	liov_hex(sn, fold, sizeof(fold));
}

/* "nqn.2014-08.org.nvmexpress:uuid:" and the UUID as text (section 4.5). */
static void liov_subnqn(char *nqn, const uuid_t *uuid)
{
	static const char prefix[] = "nqn.2014-08.org.nvmexpress:uuid:";
	static const u8 groups[] = { 4, 2, 2, 2, 6 };
	const u8 *b = uuid->b;
	unsigned int i;

	memcpy(nqn, prefix, sizeof(prefix) - 1);
	nqn += sizeof(prefix) - 1;
	for (i = 0; i < sizeof(groups); i++) {
		if (i)
			*nqn++ = '-';
		nqn = liov_hex(nqn, b, groups[i]);
		b += groups[i];
	}
}

/*
 * The first byte of an OUI with the universal/local bit set and the group bit
 * clear: locally administered, as IEEE 802 wants it of numbers that no vendor gave.
 */
static u8 liov_local_oui(u8 b)
{
	return (b & ~0x03) | 0x02;
}

/* NGUID: a vendor's extension (8 bytes), then an OUI (3) and its extension (4.5.2). */
static void liov_nguid(u8 nguid[16], const uuid_t *uuid)
{
	memcpy(nguid, uuid->b, 16);
	nguid[8] = liov_local_oui(nguid[8]);
	/* the two bits that made room */
	nguid[9] ^= uuid->b[8] & 0x03;
}

static void liov_eui64(u8 eui64[8], const uuid_t *uuid)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		eui64[i] = uuid->b[i] ^ uuid->b[i + 8];
	/* the two bits that give way are folded into the next byte */
	eui64[1] ^= eui64[0] & 0x03;
	eui64[0] = liov_local_oui(eui64[0]);
}

/* The highest NSID that is valid; one even when nothing is assigned (NN is never 0). */
static u32 liov_nn(const struct liov_ident *id)
{
	return max(id->nsid, 1U);
}

/**
 * liov_identify_oncs() - the optional commands on blocks that a guest is offered
 * @ctrl:    the hardware's Identify Controller
 * @guarded: for a guarded instance
 *
 * Also makes struct liov_guard, so that what is offered is what passes.
 *
 * Return: bits of ONCS.
 */
u16 liov_identify_oncs(const struct nvme_id_ctrl *ctrl, bool guarded)
{
	u16 ocfs = get_unaligned_le16((const u8 *)ctrl + LIOV_ID_CTRL_OCFS);
	u16 oncs = le16_to_cpu(ctrl->oncs) & LIOV_ONCS_MASK;

	if (guarded && !(ocfs & LIOV_OCFS_GUARDED))
		oncs &= ~LIOV_ONCS_COPY;
	return oncs;
}

/**
 * liov_identify_copy() - limits of Copy in the hardware's Identify Namespace
 * @ns:         the hardware's Identify Namespace
 * @max:        out: MCL, LBAs of one command
 * @max_range:  out: MSSRL, LBAs of one source range
 * @max_ranges: out: MSRC as a count of source ranges
 */
void liov_identify_copy(const struct nvme_id_ns *ns, u32 *max, u16 *max_range, u16 *max_ranges)
{
	const u8 *copy = (const u8 *)ns + LIOV_ID_NS_COPY;

	*max_range = get_unaligned_le16(copy);
	*max = get_unaligned_le32(copy + 2);
	*max_ranges = copy[6] + 1;
}

/* MDTS counts in powers of two; 0 would say "no limit", but never is that small. */
static u8 liov_guard_mdts(u32 max_bytes)
{
	u8 mdts = 1;

	while (mdts < 31 && (u64)LIOV_GUARD_PAGE_SIZE << (mdts + 1) <= max_bytes)
		mdts++;
	return mdts;
}

/**
 * liov_identify_ctrl() - Identify Controller (CNS 01h) of an instance
 * @data: in: the hardware's 4096 bytes; out: what the guest gets
 * @id:   identity of the instance
 *
 * See section 5.17.2.1.  No optional admin command, one power state, an error log
 * of LIOV_LOG_ERRORS entries, namespace attribute notices; Timestamp is ours and
 * always there.  In direct mode MDTS is passed on unchanged: its unit is CAP.MPSMIN, so
 * the caller adapts it if the virtual MPSMIN is not the hardware's.  In guarded mode MDTS
 * and ONCS say what the guard lets pass.
 *
 * Context: caller holds the instance lock.
 */
void liov_identify_ctrl(void *data, const struct liov_ident *id)
{
	const struct liov_guard *g = id->guard;
	struct nvme_id_ctrl *ctrl = data;
	u8 *ocfs = (u8 *)data + LIOV_ID_CTRL_OCFS;
	u16 oncs, formats;

	liov_keep_only(data, liov_keep_ctrl, ARRAY_SIZE(liov_keep_ctrl));

	liov_serial(ctrl->sn, &id->uuid);
	liov_subnqn(ctrl->subnqn, &id->uuid);
	ctrl->cntlid = cpu_to_le16(id->cntlid);
	ctrl->ver = cpu_to_le32(id->vs);
	ctrl->oaes = cpu_to_le32(NVME_AEN_CFG_NS_ATTR);
	/* reserved before 1.4 */
	ctrl->cntrltype = id->vs >= NVME_VS(1, 4, 0) ? NVME_CTRL_IO : 0;
	/* both 0's based: four aborts, four asynchronous event requests */
	ctrl->acl = 3;
	ctrl->aerl = 3;
	ctrl->frmw = LIOV_FRMW;
	ctrl->lpa = (ctrl->lpa & NVME_CTRL_LPA_CMD_EFFECTS_LOG) | LIOV_LPA_EXT_DATA;
	ctrl->elpe = LIOV_LOG_ERRORS - 1;
	/* sizes of entries, largest and required: 64 and 16 bytes */
	ctrl->sqes = NVME_NVM_IOSQES << 4 | NVME_NVM_IOSQES;
	ctrl->cqes = NVME_NVM_IOCQES << 4 | NVME_NVM_IOCQES;
	ctrl->nn = cpu_to_le32(liov_nn(id));
	oncs = g ? g->oncs : liov_identify_oncs(ctrl, false);
	formats = get_unaligned_le16(ocfs) & (g ? LIOV_OCFS_GUARDED : LIOV_OCFS_MASK);
	put_unaligned_le16(oncs & LIOV_ONCS_COPY ? formats : 0, ocfs);
	if (g)
		ctrl->mdts = liov_guard_mdts(g->max_bytes);
	if (id->vs >= NVME_VS(1, 3, 0))
		oncs |= NVME_CTRL_ONCS_TIMESTAMP;
	ctrl->oncs = cpu_to_le16(oncs);
	/* a flush of all namespaces would be one of everybody's; bits from 1.4 on */
	ctrl->vwc &= NVME_CTRL_VWC_PRESENT;
	if (id->vs >= NVME_VS(1, 4, 0))
		ctrl->vwc |= LIOV_VWC_NO_BROADCAST;
}

static u32 liov_gcd(u32 a, u32 b)
{
	while (b) {
		u32 rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/*
 * Boundaries that atomic writes must not cross lie at NABO and every NABSN + 1
 * (NABSPF + 1) LBAs from there; 0 in either says that there are none (NVM Command Set
 * 1.0 section 2.1.4.3).  There is one NABO for both, so of two sizes their greatest common
 * divisor is taken: more boundaries than there are promise less, which is safe.
 */
static void liov_move_boundaries(struct nvme_id_ns *ns, u64 first)
{
	u32 nabsn = le16_to_cpu(ns->nabsn), nabspf = le16_to_cpu(ns->nabspf);
	u32 size, phase;
	u16 most;

	if (!nabsn && !nabspf) {
		ns->nabo = 0;
		return;
	}
	size = liov_gcd(nabsn ? nabsn + 1 : 0, nabspf ? nabspf + 1 : 0);
	if (size == 1) {
		/* A boundary at each LBA cannot be said; at every other one is no better. */
		size = 2;
		ns->nawun = 0;
		ns->nawupf = 0;
		ns->nacwu = 0;
	}
	phase = le16_to_cpu(ns->nabo) % size;
	most = size - 1;
	ns->nabo = cpu_to_le16((phase + size - first % size) % size);
	if (nabsn) {
		ns->nabsn = cpu_to_le16(most);
		ns->nawun = cpu_to_le16(min(le16_to_cpu(ns->nawun), most));
		ns->nacwu = cpu_to_le16(min(le16_to_cpu(ns->nacwu), most));
	}
	if (nabspf) {
		ns->nabspf = cpu_to_le16(most);
		ns->nawupf = cpu_to_le16(min(le16_to_cpu(ns->nawupf), most));
	}
}

/* Hints that count from LBA 0 are dropped where the backing is not aligned to them. */
static void liov_move_hints(struct nvme_id_ns *ns, u64 first)
{
	u32 noiob = le16_to_cpu(ns->noiob);

	if (noiob && first % noiob)
		ns->noiob = 0;
	if (first % (le16_to_cpu(ns->npwg) + 1) || first % (le16_to_cpu(ns->npwa) + 1) ||
	    first % (le16_to_cpu(ns->npdg) + 1) || first % (le16_to_cpu(ns->npda) + 1)) {
		ns->nsfeat &= ~LIOV_NSFEAT_OPTPERF;
		ns->npwg = 0;
		ns->npwa = 0;
		ns->npdg = 0;
		ns->npda = 0;
		ns->nows = 0;
	}
}

/*
 * A guarded instance's namespace: the size of the backing, all of it allocated; one format,
 * the present one, which has neither metadata nor protection.
 */
static void liov_guard_ns(struct nvme_id_ns *ns, const struct liov_guard *g)
{
	u64 nlb = READ_ONCE(g->nlb);
	u8 *copy = (u8 *)ns + LIOV_ID_NS_COPY;

	ns->nsze = cpu_to_le64(nlb);
	ns->ncap = ns->nsze;
	ns->nuse = ns->nsze;
	/* 128 bits */
	put_unaligned_le64(nlb << g->lba_shift, ns->nvmcap);
	put_unaligned_le64(g->lba_shift ? nlb >> (64 - g->lba_shift) : 0, ns->nvmcap + 8);
	ns->nsfeat &= ~NVME_NS_FEAT_THIN;
	liov_move_boundaries(ns, g->first);
	liov_move_hints(ns, g->first);

	put_unaligned_le16(g->max_copy_range, copy);
	put_unaligned_le32(g->max_copy, copy + 2);
	copy[6] = g->max_copy_ranges ? g->max_copy_ranges - 1 : 0;

	ns->nlbaf = 0;
	ns->flbas = 0;
	ns->mc = 0;
	ns->dpc = 0;
	ns->dps = 0;
	*((u8 *)ns + LIOV_ID_NS_NULBAF) = 0;
	memset(ns->lbaf, 0, sizeof(ns->lbaf));
	ns->lbaf[0].ds = g->lba_shift;
}

/**
 * liov_identify_ns() - Identify Namespace (CNS 00h) of an instance
 * @data: in: the hardware's 4096 bytes for the backing; out: what the guest gets
 * @id:   identity of the instance
 *
 * Atomicity and limits are the hardware's, in direct mode size and formats too; a
 * namespace is private to one controller, without reservations, sets, endurance or ANA
 * groups.
 *
 * Context: caller holds the instance lock.
 */
void liov_identify_ns(void *data, const struct liov_ident *id)
{
	struct nvme_id_ns *ns = data;

	liov_keep_only(data, liov_keep_ns, ARRAY_SIZE(liov_keep_ns));

	ns->nsfeat &= LIOV_NSFEAT_MASK;
	ns->nsattr &= NVME_NS_ATTR_RO;
	if (id->guard)
		liov_guard_ns(ns, id->guard);
	liov_nguid(ns->nguid, &id->uuid);
	/* EUI64 and NGUID are reserved before 1.1 and 1.2; harmless there */
	liov_eui64(ns->eui64, &id->uuid);
}

/**
 * liov_identify_ns_indep() - I/O Command Set Independent Identify Namespace (CNS 08h)
 * @data: in: the hardware's 4096 bytes of CNS 00h for the backing; out: what the
 *        guest gets
 *
 * Made from CNS 00h, so it needs no support by the hardware (section 5.17.2.8).
 *
 * Context: caller holds the instance lock.
 */
void liov_identify_ns_indep(void *data)
{
	struct nvme_id_ns_cs_indep *indep = data;
	const struct nvme_id_ns *ns = data;
	u8 nsattr = ns->nsattr & NVME_NS_ATTR_RO;

	/* of NSFEAT, bits 3:0 are not defined here but UIDREUSE, which stays clear */
	memset(data, 0, NVME_IDENTIFY_DATA_SIZE);
	indep->nsattr = nsattr;
	indep->nstat = NVME_NSTAT_NRDY;
}

/**
 * liov_identify_ns_list() - Active Namespace ID list (CNS 02h)
 * @data:       4096 bytes, overwritten
 * @id:         identity of the instance
 * @after_nsid: NSID of the command; only greater ones are listed
 *
 * Context: caller holds the instance lock.
 */
void liov_identify_ns_list(void *data, const struct liov_ident *id, u32 after_nsid)
{
	memset(data, 0, NVME_IDENTIFY_DATA_SIZE);
	if (id->nsid > after_nsid)
		put_unaligned_le32(id->nsid, data);
}

static u8 *liov_ns_desc_add(u8 *p, u8 nidt, u8 nidl)
{
	struct nvme_ns_id_desc *desc = (struct nvme_ns_id_desc *)p;

	desc->nidt = nidt;
	desc->nidl = nidl;
	return p + sizeof(*desc);
}

/**
 * liov_identify_ns_desc() - Namespace Identification Descriptor list (CNS 03h)
 * @data: 4096 bytes, overwritten
 * @id:   identity of the instance
 * @csi:  add the command set identifier (VS 2.0 and later): NVM
 *
 * EUI64 and NGUID repeat Identify Namespace, as section 5.17.2.3 demands; the UUID
 * is the mdev's.
 *
 * Context: caller holds the instance lock.
 */
void liov_identify_ns_desc(void *data, const struct liov_ident *id, bool csi)
{
	u8 *p = data;

	memset(data, 0, NVME_IDENTIFY_DATA_SIZE);
	p = liov_ns_desc_add(p, NVME_NIDT_EUI64, NVME_NIDT_EUI64_LEN);
	liov_eui64(p, &id->uuid);
	p += NVME_NIDT_EUI64_LEN;
	p = liov_ns_desc_add(p, NVME_NIDT_NGUID, NVME_NIDT_NGUID_LEN);
	liov_nguid(p, &id->uuid);
	p += NVME_NIDT_NGUID_LEN;
	p = liov_ns_desc_add(p, NVME_NIDT_UUID, NVME_NIDT_UUID_LEN);
	memcpy(p, id->uuid.b, NVME_NIDT_UUID_LEN);
	p += NVME_NIDT_UUID_LEN;
	if (csi) {
		p = liov_ns_desc_add(p, NVME_NIDT_CSI, NVME_NIDT_CSI_LEN);
		*p = NVME_CSI_NVM;
	}
}

/*
 * Commands about one namespace: FFFFFFFFh asks for what all namespaces have in
 * common, which needs Namespace Management (section 5.17.2.1); 0 and all above NN
 * are invalid, those between are valid but inactive (section 3.2.1.5).
 */
static enum liov_identify_src liov_route_ns(const struct liov_ident *id, u32 nsid,
					    enum liov_identify_src active, u16 *status)
{
	if (nsid && nsid == id->nsid)
		return active;
	if (nsid && nsid <= liov_nn(id))
		return LIOV_IDENTIFY_NS_ZERO;
	*status = NVME_SC_INVALID_NS | NVME_STATUS_DNR;
	return LIOV_IDENTIFY_REFUSE;
}

/**
 * liov_identify_route() - how an Identify command is answered
 * @c:      the guest's command
 * @id:     identity of the instance
 * @status: out: 0, or why it is refused
 *
 * CNS 05h and 06h with CSI 0 (NVM) hold limits of commands and formats.  They are answered
 * whatever VS is, for Linux asks for 06h always.  CNS 07h and 1Ch belong to controllers that offer
 * several command sets (CAP.CSS bit 6), which this is not.
 *
 * Return: the way; LIOV_IDENTIFY_REFUSE with, in @status and with DNR, Invalid Field
 * (unknown CNS, or CSI other than NVM) or Invalid Namespace or Format.
 *
 * Context: caller holds the instance lock.
 */
enum liov_identify_src liov_identify_route(const struct nvme_command *c,
					   const struct liov_ident *id, u16 *status)
{
	u32 nsid = le32_to_cpu(c->identify.nsid);

	*status = NVME_SC_SUCCESS;
	switch (c->identify.cns) {
	case NVME_ID_CNS_NS:
		return liov_route_ns(id, nsid, LIOV_IDENTIFY_NS, status);
	case NVME_ID_CNS_CTRL:
		return LIOV_IDENTIFY_CTRL;
	case NVME_ID_CNS_NS_ACTIVE_LIST:
		/* FFFFFFFEh and FFFFFFFFh are invalid here (section 5.17.2.2) */
		if (nsid >= NVME_NSID_ALL - 1) {
			*status = NVME_SC_INVALID_NS | NVME_STATUS_DNR;
			return LIOV_IDENTIFY_REFUSE;
		}
		return LIOV_IDENTIFY_NS_LIST;
	case NVME_ID_CNS_NS_DESC_LIST:
		if (id->vs < NVME_VS(1, 3, 0))
			break;
		if (nsid && nsid == id->nsid)
			return LIOV_IDENTIFY_NS_DESC;
		/* no zero data for inactive namespaces here (section 5.17.2.3) */
		*status = NVME_SC_INVALID_NS | NVME_STATUS_DNR;
		return LIOV_IDENTIFY_REFUSE;
	case NVME_ID_CNS_CS_NS:
		if (c->identify.csi != NVME_CSI_NVM)
			break;
		/* in guarded mode no format is extended: all zero */
		return liov_route_ns(id, nsid, id->guard ? LIOV_IDENTIFY_NS_ZERO :
				     LIOV_IDENTIFY_CS_NS, status);
	case NVME_ID_CNS_CS_CTRL:
		if (c->identify.csi != NVME_CSI_NVM)
			break;
		return LIOV_IDENTIFY_CS_CTRL;
	case NVME_ID_CNS_NS_CS_INDEP:
		if (id->vs < NVME_VS(2, 0, 0))
			break;
		return liov_route_ns(id, nsid, LIOV_IDENTIFY_NS_INDEP, status);
	default:
		break;
	}
	*status = NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	return LIOV_IDENTIFY_REFUSE;
}
