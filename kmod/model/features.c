// SPDX-License-Identifier: GPL-2.0
/*
 * Get and Set Features (NVM Express Base 2.0 sections 5.15 and 5.27).
 *
 * Owns struct liov_features: the feature values of one instance.  Nothing here
 * reaches the drive, whose features are the host's and are shared by all
 * instances.  A feature is accepted only where an answer from memory is honest: it
 * describes the instance itself, or the specification lets a controller take no
 * notice of it (arbitration, coalescing, recovery limits).  Called by admin.c.
 *
 * Context: the caller holds the instance lock around every call.
 */
#include "model/model.h"

#define LIOV_FEAT_FID_MASK	0xffU
#define LIOV_FEAT_SEL_MASK	0x700U
#define LIOV_FEAT_SAVE		BIT(31)

/* Bits that are defined in the values we keep; the rest is reserved and not kept. */
#define LIOV_ARBITRATION_MASK	0xffffff07U	/* HPW, MPW, LPW, AB */
#define LIOV_ARBITRATION_AB	0x7U
#define LIOV_POWER_PS		0x1fU
#define LIOV_POWER_MASK		0xffU		/* WH, PS */
#define LIOV_ERR_TLER		0xffffU
#define LIOV_ERR_DULBE		BIT(16)
#define LIOV_COALESCE_MASK	0xffffU		/* TIME, THR */
#define LIOV_IRQ_IV		0xffffU
#define LIOV_IRQ_CD		BIT(16)

#define LIOV_TEMP_SEL(cdw11)	((cdw11) >> NVME_TEMP_THRESH_SELECT_SHIFT & 0xf)
#define LIOV_TEMP_SEL_ALL	0xfU
#define LIOV_TEMP_SENSORS	ARRAY_SIZE(((struct liov_features *)0)->temp_over)
#define LIOV_TEMP_TYPE(cdw11)	((cdw11) >> 20 & 0x3)
#define LIOV_TEMP_TYPE_UNDER	1U

/* SMART warnings and namespace attribute notices: the events of our OAES. */
#define LIOV_ASYNC_MASK		(0xffU | NVME_AEN_CFG_NS_ATTR)

#define LIOV_TIMESTAMP_LEN	8
#define LIOV_TIMESTAMP_MASK	((1ULL << 48) - 1)
#define LIOV_TIMESTAMP_BY_HOST	1		/* origin 001b: Set Features */
#define LIOV_HOST_ID_LEN	8		/* CTRATT.HIDS = 0: no 16-byte one */
#define LIOV_HOST_ID_EXHID	BIT(0)

/* 0 composite, 1..8 sensors, or LIOV_TEMP_SEL_ALL where @all; else -1 */
static int liov_temp_index(u32 cdw11, bool all)
{
	u32 sel = LIOV_TEMP_SEL(cdw11);

	if (LIOV_TEMP_TYPE(cdw11) > LIOV_TEMP_TYPE_UNDER)
		return -1;
	if (sel == LIOV_TEMP_SEL_ALL)
		return all ? sel : -1;
	return sel < LIOV_TEMP_SENSORS ? array_index_nospec(sel, LIOV_TEMP_SENSORS) : -1;
}

/* The vector of Interrupt Vector Configuration, or -1. */
static int liov_irq_config_index(const struct liov_features *f, u32 cdw11)
{
	u32 iv = cdw11 & LIOV_IRQ_IV, nr = f->nr_pairs + 1U;

	return iv < nr ? array_index_nospec(iv, nr) : -1;
}

/**
 * liov_features_init() - the features of a new instance
 * @f:        overwritten
 * @nr_pairs: I/O queue pairs, 1..LIOV_MAX_PAIRS
 * @nsid:     the guest's NSID, 0 = none
 * @vwc:      the drive has a volatile write cache
 * @id:       the drive's Identify Controller data, for defaults; NULL allowed
 *
 * Context: caller holds the instance lock.
 */
void liov_features_init(struct liov_features *f, u16 nr_pairs, u32 nsid, bool vwc,
			const struct nvme_id_ctrl *id)
{
	memset(f, 0, sizeof(*f));
	f->nr_pairs = clamp_t(u16, nr_pairs, 1, LIOV_MAX_PAIRS);
	f->nr_queues = f->nr_pairs;
	f->nsid = nsid;
	f->vwc = vwc;
	/* recommended burst, no limit if we do not know */
	f->def_arbitration = id ? id->rab & LIOV_ARBITRATION_AB : LIOV_ARBITRATION_AB;
	f->def_temp_over = id ? le16_to_cpu(id->wctemp) : 0;
	liov_features_reset(f);
}

/**
 * liov_features_reset() - a Controller Level Reset: every feature has its default
 * @f: features; the instance's limits in it stay
 *
 * No feature is saveable, so all of them (section 3.7.2).
 *
 * Context: caller holds the instance lock.
 */
void liov_features_reset(struct liov_features *f)
{
	unsigned int i;

	f->arbitration = f->def_arbitration;
	f->power = 0;
	f->err_recovery = 0;
	f->irq_coalesce = 0;
	memset(f->irq_cd, 0, sizeof(f->irq_cd));
	f->write_atomic = 0;
	f->async_event = 0;
	/* sensors: limits that are never crossed (section 5.27.1.3) */
	for (i = 0; i < ARRAY_SIZE(f->temp_over); i++) {
		f->temp_over[i] = 0xffff;
		f->temp_under[i] = 0;
	}
	if (f->def_temp_over)
		f->temp_over[0] = f->def_temp_over;
	f->volatile_wc = f->vwc;
	f->timestamp = 0;
	f->timestamp_origin = 0;
	f->timestamp_set_at = 0;
	memset(f->host_id, 0, sizeof(f->host_id));
	f->queues_negotiated = false;
}

/**
 * struct liov_feature_req - a Get or Set Features command
 * @row:          the feature
 * @cdw11:        its value, or what of it is meant
 * @data:         @row->data_len bytes, from or for the guest
 * @now_ms:       the host's clock
 * @queues_exist: the guest has an I/O queue
 * @result:       out: dword 0 of the completion
 */
struct liov_feature_req {
	const struct liov_feature *row;
	u32		cdw11;
	void		*data;
	u64		now_ms;
	bool		queues_exist;
	u32		result;
};

/**
 * struct liov_feature - what is known of a feature
 * @fid:      Feature Identifier
 * @per_ns:   namespace specific
 * @data_len: bytes of data it moves
 * @set:      carries out Set Features; an NVMe status
 * @get:      carries out Get Features; likewise
 * @value:    liov_set_value(), liov_get_value(): offset of a u32 in struct liov_features
 * @mask:     its bits that are defined; the rest is reserved and not kept
 * @refused:  bits that may not be set
 */
struct liov_feature {
	u8	fid;
	bool	per_ns;
	u8	data_len;
	u16	(*set)(struct liov_features *f, struct liov_feature_req *r);
	u16	(*get)(const struct liov_features *f, struct liov_feature_req *r);
	size_t	value;
	u32	mask;
	u32	refused;
};

/* ---- a value that is kept ---- */

static u16 liov_set_value(struct liov_features *f, struct liov_feature_req *r)
{
	if (r->cdw11 & r->row->refused)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	*(u32 *)((char *)f + r->row->value) = r->cdw11 & r->row->mask;
	return NVME_SC_SUCCESS;
}

static u16 liov_get_value(const struct liov_features *f, struct liov_feature_req *r)
{
	r->result = *(const u32 *)((const char *)f + r->row->value);
	return NVME_SC_SUCCESS;
}

/* ---- Temperature Threshold ---- */

static u16 liov_set_temp(struct liov_features *f, struct liov_feature_req *r)
{
	u16 *temp = LIOV_TEMP_TYPE(r->cdw11) == LIOV_TEMP_TYPE_UNDER ? f->temp_under : f->temp_over;
	int i = liov_temp_index(r->cdw11, true);

	if (i < 0)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	if (i != LIOV_TEMP_SEL_ALL) {
		temp[i] = r->cdw11 & NVME_TEMP_THRESH_MASK;
		return NVME_SC_SUCCESS;
	}
	for (i = 0; i < ARRAY_SIZE(f->temp_over); i++)
		temp[i] = r->cdw11 & NVME_TEMP_THRESH_MASK;
	return NVME_SC_SUCCESS;
}

static u16 liov_get_temp(const struct liov_features *f, struct liov_feature_req *r)
{
	int i = liov_temp_index(r->cdw11, false);

	if (i < 0)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	r->result = LIOV_TEMP_TYPE(r->cdw11) == LIOV_TEMP_TYPE_UNDER ?
		    f->temp_under[i] : f->temp_over[i];
	return NVME_SC_SUCCESS;
}

/* ---- Volatile Write Cache ---- */

static u16 liov_set_write_cache(struct liov_features *f, struct liov_feature_req *r)
{
	return r->cdw11 & 1 ? NVME_SC_SUCCESS : NVME_SC_FEATURE_NOT_CHANGEABLE | NVME_STATUS_DNR;
}

/* ---- Number of Queues (section 5.27.1.5): 0's based, CQs in the upper half ---- */

static u16 liov_get_nr_queues(const struct liov_features *f, struct liov_feature_req *r)
{
	r->result = (f->nr_queues - 1U) << 16 | (f->nr_queues - 1U);
	return NVME_SC_SUCCESS;
}

static u16 liov_set_nr_queues(struct liov_features *f, struct liov_feature_req *r)
{
	if ((r->cdw11 & 0xffff) == 0xffff || r->cdw11 >> 16 == 0xffff)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	if (r->queues_exist)
		return NVME_SC_CMD_SEQ_ERROR | NVME_STATUS_DNR;
	f->queues_negotiated = true;
	return liov_get_nr_queues(f, r);
}

/* ---- Interrupt Vector Configuration ---- */

static u16 liov_set_irq_config(struct liov_features *f, struct liov_feature_req *r)
{
	int iv = liov_irq_config_index(f, r->cdw11);

	if (iv < 0)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	f->irq_cd[iv] = r->cdw11 & LIOV_IRQ_CD;
	return NVME_SC_SUCCESS;
}

static u16 liov_get_irq_config(const struct liov_features *f, struct liov_feature_req *r)
{
	int iv = liov_irq_config_index(f, r->cdw11);

	if (iv < 0)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	r->result = iv | (f->irq_cd[iv] ? LIOV_IRQ_CD : 0);
	return NVME_SC_SUCCESS;
}

/* ---- Timestamp: value in bits 47:0, origin in bits 51:49 ---- */

static u16 liov_set_timestamp(struct liov_features *f, struct liov_feature_req *r)
{
	f->timestamp = get_unaligned_le64(r->data) & LIOV_TIMESTAMP_MASK;
	f->timestamp_origin = LIOV_TIMESTAMP_BY_HOST;
	f->timestamp_set_at = r->now_ms;
	return NVME_SC_SUCCESS;
}

static u16 liov_get_timestamp(const struct liov_features *f, struct liov_feature_req *r)
{
	u64 elapsed = r->now_ms > f->timestamp_set_at ? r->now_ms - f->timestamp_set_at : 0;
	u64 value = (f->timestamp + elapsed) & LIOV_TIMESTAMP_MASK;

	put_unaligned_le64(value | (u64)f->timestamp_origin << 49, r->data);
	return NVME_SC_SUCCESS;
}

/* ---- Host Identifier ---- */

static u16 liov_set_host_id(struct liov_features *f, struct liov_feature_req *r)
{
	if (r->cdw11 & LIOV_HOST_ID_EXHID)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	memcpy(f->host_id, r->data, LIOV_HOST_ID_LEN);
	return NVME_SC_SUCCESS;
}

static u16 liov_get_host_id(const struct liov_features *f, struct liov_feature_req *r)
{
	if (r->cdw11 & LIOV_HOST_ID_EXHID)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	memcpy(r->data, f->host_id, LIOV_HOST_ID_LEN);
	return NVME_SC_SUCCESS;
}

/* ---- all of them ---- */

#define LIOV_FEATURE_VALUE(_member, _mask)				\
	.set = liov_set_value, .get = liov_get_value,			\
	.value = offsetof(struct liov_features, _member), .mask = (_mask)

/*
 * LBA Range Type, APST, Host Memory Buffer, Keep Alive, HCTM, Host Behavior Support,
 * reservations, write protection, vendor's own and all that is not known are not here:
 * Identify does not offer them.
 */
static const struct liov_feature features[] = {
	{ NVME_FEAT_ARBITRATION, LIOV_FEATURE_VALUE(arbitration, LIOV_ARBITRATION_MASK) },
	/* NPSS is 0 */
	{ NVME_FEAT_POWER_MGMT, LIOV_FEATURE_VALUE(power, LIOV_POWER_MASK),
	  .refused = LIOV_POWER_PS },
	{ NVME_FEAT_TEMP_THRESH, .set = liov_set_temp, .get = liov_get_temp },
	/* NSFEAT bit 2 is 0, so DULBE may not be set (section 5.27.1.4) */
	{ NVME_FEAT_ERR_RECOVERY, .per_ns = true, LIOV_FEATURE_VALUE(err_recovery, LIOV_ERR_TLER),
	  .refused = LIOV_ERR_DULBE },
	{ NVME_FEAT_VOLATILE_WC, .set = liov_set_write_cache, .get = liov_get_value,
	  .value = offsetof(struct liov_features, volatile_wc) },
	{ NVME_FEAT_NUM_QUEUES, .set = liov_set_nr_queues, .get = liov_get_nr_queues },
	{ NVME_FEAT_IRQ_COALESCE, LIOV_FEATURE_VALUE(irq_coalesce, LIOV_COALESCE_MASK) },
	{ NVME_FEAT_IRQ_CONFIG, .set = liov_set_irq_config, .get = liov_get_irq_config },
	{ NVME_FEAT_WRITE_ATOMIC, LIOV_FEATURE_VALUE(write_atomic, 1) },
	{ NVME_FEAT_ASYNC_EVENT, LIOV_FEATURE_VALUE(async_event, LIOV_ASYNC_MASK) },
	{ NVME_FEAT_TIMESTAMP, .data_len = LIOV_TIMESTAMP_LEN, .set = liov_set_timestamp,
	  .get = liov_get_timestamp },
	{ NVME_FEAT_HOST_ID, .data_len = LIOV_HOST_ID_LEN, .set = liov_set_host_id,
	  .get = liov_get_host_id },
};

/* The row of a feature, or NULL: unknown, or not one of this drive's. */
static const struct liov_feature *liov_feature_find(const struct liov_features *f, u8 fid)
{
	unsigned int i;

	if (fid == NVME_FEAT_VOLATILE_WC && !f->vwc)
		return NULL;
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		if (features[i].fid == fid)
			return &features[i];
	}
	return NULL;
}

static u8 liov_feature_fid(const struct nvme_command *c)
{
	return le32_to_cpu(c->features.fid) & LIOV_FEAT_FID_MASK;
}

/**
 * liov_features_data_len() - bytes of data that a Get or Set Features moves
 * @f: features of the instance
 * @c: the guest's command
 *
 * Return: 8 for Timestamp and Host Identifier; 0 for the others and for what will be
 * refused (an extended Host Identifier).
 *
 * Context: any; the caller holds the instance lock all the same.
 */
u32 liov_features_data_len(const struct liov_features *f, const struct nvme_command *c)
{
	const struct liov_feature *row = liov_feature_find(f, liov_feature_fid(c));

	if (!row || (row->fid == NVME_FEAT_HOST_ID &&
		     le32_to_cpu(c->features.dword11) & LIOV_HOST_ID_EXHID))
		return 0;
	return row->data_len;
}

/*
 * For features that are not namespace specific NSID is 0 or FFFFFFFFh; Set Features with
 * another one is refused, Get Features does not mind (section 5.27: Feature Not Namespace
 * Specific is a status of Set Features).
 */
static u16 liov_feature_check_nsid(const struct liov_features *f, const struct liov_feature *row,
				   u32 nsid, bool set)
{
	bool valid = nsid && nsid <= max(f->nsid, 1U);

	if (row->per_ns) {
		/* Set: all namespaces, of which there is one */
		if (set && nsid == NVME_NSID_ALL)
			return NVME_SC_SUCCESS;
		if (!valid)
			return NVME_SC_INVALID_NS | NVME_STATUS_DNR;
		/* valid but inactive (section 3.2.1.5) */
		if (nsid != f->nsid)
			return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
		return NVME_SC_SUCCESS;
	}
	if (!set || !nsid || nsid == NVME_NSID_ALL)
		return NVME_SC_SUCCESS;
	if (!valid)
		return NVME_SC_INVALID_NS | NVME_STATUS_DNR;
	return NVME_SC_FEATURE_NOT_PER_NS | NVME_STATUS_DNR;
}

/**
 * liov_set_features() - carry out Set Features
 * @f:            features of the instance
 * @c:            the guest's command
 * @data:         liov_features_data_len() bytes from the guest; may be NULL if 0
 * @queues_exist: the guest has an I/O queue
 * @now_ms:       the host's clock, milliseconds, any origin; the same for Get
 * @result:       out: dword 0 of the completion
 *
 * The write cache is the drive's, common to all instances: a guest may confirm that
 * it is on; turning it off cannot be done for one guest and is refused rather than
 * pretended, since the guest would stop flushing.
 *
 * Return: 0, or with DNR: Invalid Field (unknown feature or value), Feature
 * Identifier Not Saveable (the save bit is set), Invalid Namespace or Format, Feature
 * Not Namespace Specific, Feature Not Changeable, Command Sequence Error.
 *
 * Context: caller holds the instance lock.
 */
u16 liov_set_features(struct liov_features *f, const struct nvme_command *c, void *data,
		      bool queues_exist, u64 now_ms, u32 *result)
{
	struct liov_feature_req r = {
		.row	= liov_feature_find(f, liov_feature_fid(c)),
		.cdw11	= le32_to_cpu(c->features.dword11),
		.data	= data,
		.now_ms	= now_ms,
		.queues_exist = queues_exist,
	};
	u16 status;

	*result = 0;
	if (!r.row)
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	if (le32_to_cpu(c->features.fid) & LIOV_FEAT_SAVE)
		return NVME_SC_FEATURE_NOT_SAVEABLE | NVME_STATUS_DNR;
	status = liov_feature_check_nsid(f, r.row, le32_to_cpu(c->features.nsid), true);
	if (!status)
		status = r.row->set(f, &r);
	*result = r.result;
	return status;
}

/**
 * liov_get_features() - carry out Get Features
 * @f:      features of the instance
 * @c:      the guest's command
 * @data:   where liov_features_data_len() bytes go; may be NULL if 0
 * @now_ms: the host's clock, milliseconds; Timestamp shows it until the guest sets it
 * @result: out: dword 0 of the completion
 *
 * ONCS bit 4 (Save and Select) is 0: SEL can only ask for the current value.
 *
 * Return: 0, or with DNR: Invalid Field (unknown feature or value), Invalid Namespace
 * or Format.
 *
 * Context: caller holds the instance lock.
 */
u16 liov_get_features(const struct liov_features *f, const struct nvme_command *c,
		      void *data, u64 now_ms, u32 *result)
{
	struct liov_feature_req r = {
		.row	= liov_feature_find(f, liov_feature_fid(c)),
		.cdw11	= le32_to_cpu(c->features.dword11),
		.data	= data,
		.now_ms	= now_ms,
	};
	u16 status;

	*result = 0;
	if (!r.row || (le32_to_cpu(c->features.fid) & LIOV_FEAT_SEL_MASK))
		return NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	status = liov_feature_check_nsid(f, r.row, le32_to_cpu(c->features.nsid), false);
	if (!status)
		status = r.row->get(f, &r);
	*result = r.result;
	return status;
}
