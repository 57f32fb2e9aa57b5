// SPDX-License-Identifier: GPL-2.0
/*
 * Get Log Page (NVM Express Base 2.0 section 5.16).
 *
 * Owns struct liov_log_state (the instance's own error log) and what of the
 * hardware's pages a guest sees.  A page about the drive's health passes; what tells
 * of other users of the drive, or of commands and slots we do not offer, does not.
 * Called by admin.c.
 *
 * Context: the caller holds the instance lock around every call.
 */
#include "model/model.h"

/* Log page identifier; linux/nvme.h has no name for it. */
#define LIOV_LID_SUPPORTED	0x00

/* CDW10 bit 15, in the byte that linux/nvme.h calls lsp */
#define LIOV_LOG_RAE		0x80
/* CDW14 bit 23: the offset is an index into a list; none of our pages has one */
#define LIOV_LOG_OT		0x80

/* Supported Log Pages (section 5.16.1.1): 256 entries of 4 bytes */
#define LIOV_LOG_SUPPORTED_SIZE	1024
#define LIOV_LOG_LSUPP		BIT(0)

/*
 * SMART critical warnings of the drive as such (section 5.16.1.3); bit 5 is about
 * the persistent memory region, which we do not have.
 */
#define LIOV_SMART_WARNINGS	0x1f

static u32 liov_log_size(u8 lid, const struct liov_ident *id)
{
	switch (lid) {
	case LIOV_LID_SUPPORTED:
		return id->vs >= NVME_VS(2, 0, 0) ? LIOV_LOG_SUPPORTED_SIZE : 0;
	case NVME_LOG_ERROR:
		return LIOV_LOG_ERRORS * sizeof(struct nvme_error_slot);
	case NVME_LOG_SMART:
		return sizeof(struct nvme_smart_log);
	case NVME_LOG_FW_SLOT:
		return sizeof(struct nvme_fw_slot_info_log);
	case NVME_LOG_CHANGED_NS:
		return NVME_MAX_CHANGED_NAMESPACES * sizeof(__le32);
	case NVME_LOG_CMD_EFFECTS:
		return sizeof(struct nvme_effects_log);
	default:
		return 0;
	}
}

/**
 * liov_log_route() - decode Get Log Page and say where its data come from
 * @c:          the guest's command
 * @id:         identity of the instance
 * @mdts_bytes: the largest transfer (MDTS) in bytes; 0 = no limit
 * @req:        out: the command, decoded; valid unless refused
 * @status:     out: 0, or why it is refused
 *
 * The length is 0's based dwords, NUMDU and NUMDL; it may exceed the page; the
 * caller fills up with zeroes.  The offset, LPOU and LPOL, counts bytes, is a
 * multiple of 4 and not beyond the page.  NSID is 0 or FFFFFFFFh: none of the pages
 * is per namespace (LPA bit 0 is 0).
 *
 * For LIOV_LOG_PASS the caller reads @req->size bytes of page @req->lid from the
 * hardware, at offset 0, with NSID FFFFFFFFh and Retain Asynchronous Event set (the
 * events are the host's), and calls liov_log_filter().
 *
 * Return: the way; LIOV_LOG_REFUSE with, in @status and with DNR, Invalid Log Page or
 * Invalid Field.
 *
 * Context: caller holds the instance lock.
 */
enum liov_log_src liov_log_route(const struct nvme_command *c, const struct liov_ident *id,
				 u32 mdts_bytes, struct liov_log_req *req, u16 *status)
{
	const struct nvme_get_log_page_command *log = &c->get_log_page;
	u32 numd = (u32)le16_to_cpu(log->numdu) << 16 | le16_to_cpu(log->numdl);
	u64 len = ((u64)numd + 1) * 4;

	memset(req, 0, sizeof(*req));
	req->lid = log->lid;
	req->rae = log->lsp & LIOV_LOG_RAE;
	req->nsid = le32_to_cpu(log->nsid);
	req->offset = le64_to_cpu(log->lpo);
	req->size = liov_log_size(log->lid, id);
	if (!req->size) {
		*status = NVME_SC_INVALID_LOG_PAGE | NVME_STATUS_DNR;
		return LIOV_LOG_REFUSE;
	}

	*status = NVME_SC_INVALID_FIELD | NVME_STATUS_DNR;
	if (len > (mdts_bytes ? mdts_bytes : ~0U))
		return LIOV_LOG_REFUSE;
	if (log->rsvd14[2] & LIOV_LOG_OT || req->offset & 3 || req->offset > req->size)
		return LIOV_LOG_REFUSE;
	req->offset = array_index_nospec(req->offset, req->size + 1ULL);
	if (req->nsid && req->nsid != NVME_NSID_ALL)
		return LIOV_LOG_REFUSE;
	/* effects of another command set: there is NVM only */
	if (req->lid == NVME_LOG_CMD_EFFECTS && log->csi != NVME_CSI_NVM)
		return LIOV_LOG_REFUSE;

	*status = NVME_SC_SUCCESS;
	req->len = len;
	switch (req->lid) {
	case NVME_LOG_SMART:
	case NVME_LOG_FW_SLOT:
	case NVME_LOG_CMD_EFFECTS:
		return LIOV_LOG_PASS;
	default:
		return LIOV_LOG_OWN;
	}
}

/*
 * Health passes.  How much the host and the other guests read and write does not
 * (0 = not reported, section 5.16.1.3), and neither does the number of errors in a
 * log that the guest cannot read, nor the endurance groups.
 */
static void liov_filter_smart(struct nvme_smart_log *smart)
{
	smart->critical_warning &= LIOV_SMART_WARNINGS;
	smart->endu_grp_crit_warn_sumry = 0;
	memset(smart->rsvd7, 0, sizeof(smart->rsvd7));
	memset(smart->data_units_read, 0, sizeof(smart->data_units_read));
	memset(smart->data_units_written, 0, sizeof(smart->data_units_written));
	memset(smart->host_reads, 0, sizeof(smart->host_reads));
	memset(smart->host_writes, 0, sizeof(smart->host_writes));
	memset(smart->ctrl_busy_time, 0, sizeof(smart->ctrl_busy_time));
	memset(smart->num_err_log_entries, 0, sizeof(smart->num_err_log_entries));
	memset(smart->rsvd232, 0, sizeof(smart->rsvd232));
}

/* FRMW says one slot: the active one's revision, in slot 1 (section 5.16.1.4). */
static void liov_filter_fw_slot(struct nvme_fw_slot_info_log *fw)
{
	unsigned int active = fw->afi & 7;
	__le64 rev = active ? fw->frs[active - 1] : fw->frs[0];

	memset(fw, 0, sizeof(*fw));
	fw->afi = 1;
	fw->frs[0] = rev;
}

static bool liov_admin_offered(unsigned int opcode)
{
	switch (opcode) {
	case nvme_admin_delete_sq:
	case nvme_admin_create_sq:
	case nvme_admin_get_log_page:
	case nvme_admin_delete_cq:
	case nvme_admin_create_cq:
	case nvme_admin_identify:
	case nvme_admin_abort_cmd:
	case nvme_admin_set_features:
	case nvme_admin_get_features:
	case nvme_admin_async_event:
		return true;
	default:
		return false;
	}
}

static bool liov_io_offered(unsigned int opcode)
{
	switch (opcode) {
	case nvme_cmd_flush:
	case nvme_cmd_write:
	case nvme_cmd_read:
	case nvme_cmd_write_uncor:
	case nvme_cmd_compare:
	case nvme_cmd_write_zeroes:
	case nvme_cmd_dsm:
	case nvme_cmd_verify:
	case LIOV_CMD_COPY:
		return true;
	default:
		return false;
	}
}

/* An entry of 0 says that the command is not supported (section 5.16.1.6). */
static void liov_filter_effects(struct nvme_effects_log *effects)
{
	/* UUID lists are not offered */
	__le32 mask = cpu_to_le32(~(u32)NVME_CMD_EFFECTS_UUID_SEL);
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(effects->acs); i++) {
		if (liov_admin_offered(i))
			effects->acs[i] &= mask;
		else
			effects->acs[i] = 0;
		if (liov_io_offered(i))
			effects->iocs[i] &= mask;
		else
			effects->iocs[i] = 0;
	}
	memset(effects->resv, 0, sizeof(effects->resv));
}

/**
 * liov_log_filter() - what of the hardware's page the guest may see
 * @req:  from liov_log_route(), which has returned LIOV_LOG_PASS
 * @data: @req->size bytes, the whole page; changed in place
 *
 * Context: caller holds the instance lock.
 */
void liov_log_filter(const struct liov_log_req *req, void *data)
{
	switch (req->lid) {
	case NVME_LOG_SMART:
		liov_filter_smart(data);
		break;
	case NVME_LOG_FW_SLOT:
		liov_filter_fw_slot(data);
		break;
	case NVME_LOG_CMD_EFFECTS:
		liov_filter_effects(data);
		break;
	default:
		/* no other page passes; if one did, it would pass empty */
		memset(data, 0, req->size);
		break;
	}
}

/* Error Information (section 5.16.1.2), the newest error first. */
static void liov_build_errors(struct nvme_error_slot *out, const struct liov_log_state *st)
{
	unsigned int i;

	for (i = 0; i < LIOV_LOG_ERRORS; i++) {
		const struct liov_error *e = &st->err[i];

		/* a count of 0: no entry */
		if (!e->error_count)
			break;
		out[i].error_count = cpu_to_le64(e->error_count);
		out[i].sqid = cpu_to_le16(e->sqid);
		out[i].cmdid = cpu_to_le16(e->cmdid);
		/* bit 0 is the phase tag, which may be left 0 */
		out[i].status_field = cpu_to_le16(e->status << 1);
		out[i].param_error_location = cpu_to_le16(e->param_loc);
		out[i].lba = cpu_to_le64(e->lba);
		out[i].nsid = cpu_to_le32(e->nsid);
	}
}

/**
 * liov_log_build() - make a page of the instance's own
 * @req:  from liov_log_route(), which has returned LIOV_LOG_OWN
 * @st:   log state of the instance
 * @data: @req->size bytes, overwritten with the whole page
 *
 * Reading Changed Namespace List clears it unless @req->rae (section 5.16.1.5); the
 * caller does that once the data have reached the guest.
 *
 * Context: caller holds the instance lock.
 */
void liov_log_build(const struct liov_log_req *req, const struct liov_log_state *st, void *data)
{
	unsigned int lid;

	memset(data, 0, req->size);
	switch (req->lid) {
	case LIOV_LID_SUPPORTED:
		for (lid = LIOV_LID_SUPPORTED; lid <= NVME_LOG_CMD_EFFECTS; lid++)
			put_unaligned_le32(LIOV_LOG_LSUPP, (u8 *)data + 4 * lid);
		break;
	case NVME_LOG_ERROR:
		liov_build_errors(data, st);
		break;
	case NVME_LOG_CHANGED_NS:
		put_unaligned_le32(st->changed_ns, data);
		break;
	default:
		break;
	}
}

/**
 * liov_log_record_error() - add an entry to the error log
 * @st:     log state of the instance
 * @sqid:   queue of the failed command, FFFFh if it is not about one command
 * @cmdid:  its command identifier, likewise
 * @status: NVMe status as completed, without the phase tag
 * @nsid:   NSID of the command
 *
 * The oldest of LIOV_LOG_ERRORS entries is lost.
 *
 * Context: caller holds the instance lock.
 */
void liov_log_record_error(struct liov_log_state *st, u16 sqid, u16 cmdid, u16 status, u32 nsid)
{
	memmove(&st->err[1], &st->err[0], sizeof(st->err) - sizeof(st->err[0]));
	st->err[0] = (struct liov_error) {
		.error_count = ++st->error_count,
		.sqid = sqid,
		.cmdid = cmdid,
		.status = status,
		/* FFFFh: not one field (section 5.16.1.2) */
		.param_loc = 0xffff,
		.nsid = nsid,
	};
}

/**
 * liov_event_result() - what an Asynchronous Event Request is completed with
 * @ev: event
 *
 * NVMe Base 2.0 section 5.2: type, information and log page.  Return: dword 0.
 */
u32 liov_event_result(enum liov_event ev)
{
	switch (ev) {
	case LIOV_EVENT_DB_REGISTER:
		return NVME_AER_ERROR | 0x00 << 8 | NVME_LOG_ERROR << 16;
	case LIOV_EVENT_DB_VALUE:
		return NVME_AER_ERROR | 0x01 << 8 | NVME_LOG_ERROR << 16;
	case LIOV_EVENT_INTERNAL:
		return NVME_AER_ERROR | 0x03 << 8 | NVME_LOG_ERROR << 16;
	case LIOV_EVENT_NS_ATTR:
		return NVME_AER_NOTICE | NVME_AER_NOTICE_NS_CHANGED << 8 |
		       NVME_LOG_CHANGED_NS << 16;
	default:
		return 0;
	}
}
