// SPDX-License-Identifier: GPL-2.0
/*
 * What a namespace is: its identifiers, its command set and its format, and whether
 * two of these are the same one (NVM Express Base 2.0 section 4.5; 5.17.2.3); and which
 * admin commands make another one of it.
 *
 * Owns struct liov_ns_ident.  An NSID is no identity: after Namespace Management has
 * deleted one, the next one created may get its number.  Called by nscheck.c and nswatch.c.
 *
 * Context: pure functions.
 */
#include "model/model.h"

/* CDW10 of the commands that are looked at (sections 5.12, 5.14, 5.22 to 5.24). */
#define LIOV_CDW10_SEL		0xf
#define LIOV_NS_MGMT_DELETE	1
#define LIOV_NS_ATTACH_DETACH	1
#define LIOV_SANITIZE_ACT	0x7
#define LIOV_SANITIZE_BLOCK	2	/* block erase; 3 overwrite, 4 crypto erase */
#define LIOV_FORMAT_SES(cdw10)	((cdw10) >> 9 & 0x7)
#define LIOV_FW_ACTION(cdw10)	((cdw10) >> 3 & 0x7)
#define LIOV_FW_ACTIVATE_NOW	3

/* FNA: formats, secure erases are always of all namespaces (section 5.17.2.1). */
#define LIOV_FNA_FORMAT_ALL	BIT(0)
#define LIOV_FNA_ERASE_ALL	BIT(1)

static void liov_ns_desc_one(struct liov_ns_ident *id, u8 nidt, u8 nidl, const u8 *nid)
{
	if (nidt == NVME_NIDT_EUI64 && nidl == sizeof(id->eui64))
		memcpy(id->eui64, nid, sizeof(id->eui64));
	else if (nidt == NVME_NIDT_NGUID && nidl == sizeof(id->nguid))
		memcpy(id->nguid, nid, sizeof(id->nguid));
	else if (nidt == NVME_NIDT_UUID && nidl == sizeof(id->uuid))
		memcpy(id->uuid, nid, sizeof(id->uuid));
	else if (nidt == NVME_NIDT_CSI && nidl == NVME_NIDT_CSI_LEN)
		id->csi = nid[0];
}

/**
 * liov_ns_ident_read() - what the drive says of a namespace, in short
 * @id:   out
 * @ns:   Identify Namespace (CNS 00h)
 * @desc: Namespace Identification Descriptor list (CNS 03h), 4096 bytes, zeroes if the
 *        drive has none
 */
void liov_ns_ident_read(struct liov_ns_ident *id, const struct nvme_id_ns *ns, const u8 *desc)
{
	const struct nvme_lbaf *lbaf = &ns->lbaf[nvme_lbaf_index(ns->flbas)];
	const unsigned int head = sizeof(struct nvme_ns_id_desc);
	unsigned int off;

	memset(id, 0, sizeof(*id));
	memcpy(id->nguid, ns->nguid, sizeof(id->nguid));
	memcpy(id->eui64, ns->eui64, sizeof(id->eui64));
	id->nsze = le64_to_cpu(ns->nsze);
	id->lba_shift = lbaf->ds;
	id->ms = le16_to_cpu(lbaf->ms);
	id->ext = id->ms && (ns->flbas & NVME_NS_FLBAS_META_EXT);
	id->pi = ns->dps;
	/* A length of 0 ends the list. */
	for (off = 0; off + head < NVME_IDENTIFY_DATA_SIZE && desc[off + 1];
	     off += head + desc[off + 1]) {
		if (desc[off + 1] > NVME_IDENTIFY_DATA_SIZE - off - head)
			break;
		liov_ns_desc_one(id, desc[off], desc[off + 1], desc + off + head);
	}
}

static bool liov_ns_name_is_told(const u8 *name, size_t size)
{
	while (size) {
		if (name[--size])
			return true;
	}
	return false;
}

/* How the identifiers of one kind compare. */
static void liov_ns_name_compare(const u8 *was, const u8 *now, size_t size, bool *had,
				 bool *same, bool *differs)
{
	bool then = liov_ns_name_is_told(was, size);

	*had |= then;
	if (!then || !liov_ns_name_is_told(now, size))
		return;
	if (memcmp(was, now, size))
		*differs = true;
	else
		*same = true;
}

/* Of all kinds. */
static void liov_ns_names_compare(const struct liov_ns_ident *was,
				  const struct liov_ns_ident *now, bool *had, bool *same,
				  bool *differs)
{
	liov_ns_name_compare(was->nguid, now->nguid, sizeof(was->nguid), had, same, differs);
	liov_ns_name_compare(was->eui64, now->eui64, sizeof(was->eui64), had, same, differs);
	liov_ns_name_compare(was->uuid, now->uuid, sizeof(was->uuid), had, same, differs);
}

/**
 * liov_ns_ident_compare() - is it still the same namespace, in the same format?
 * @was: before
 * @now: now
 *
 * New firmware may tell more identifiers than the former did, or fewer: those that both
 * tell have to be the same, and one there must be, if there was any.  Where the drive gave no
 * unique identifier at all, the size has to be the same too: there is nothing else that
 * tells one made anew from the former one.
 *
 * Return: LIOV_NS_SAME, or the first difference.
 */
enum liov_ns_change liov_ns_ident_compare(const struct liov_ns_ident *was,
					  const struct liov_ns_ident *now)
{
	bool had = false, same = false, differs = false;

	if (!now->nsze)
		return LIOV_NS_GONE;
	liov_ns_names_compare(was, now, &had, &same, &differs);
	if (differs || (had && !same) || was->csi != now->csi)
		return LIOV_NS_OTHER;
	if (was->lba_shift != now->lba_shift)
		return LIOV_NS_BLOCKS;
	if (was->ms != now->ms || was->ext != now->ext || was->pi != now->pi)
		return LIOV_NS_METADATA;
	if (was->nsze != now->nsze && !same)
		return LIOV_NS_SIZE;
	return LIOV_NS_SAME;
}

/**
 * liov_ns_ident_differs() - are these certainly two namespaces?
 * @a: one
 * @b: the other one
 *
 * Return: true if an identifier that both tell is not the same.
 */
bool liov_ns_ident_differs(const struct liov_ns_ident *a, const struct liov_ns_ident *b)
{
	bool had = false, same = false, differs = false;

	liov_ns_names_compare(a, b, &had, &same, &differs);
	return differs;
}

/**
 * liov_ns_command() - what an admin command does to namespaces
 * @c:    a command that the host sends to the drive
 * @fna:  FNA of Identify Controller
 * @nsid: out: the namespace, or NVME_NSID_ALL; valid unless it touches none
 *
 * Of a detach the controllers are in data that are not there yet when this is asked.  A
 * drive refuses commands to a namespace that is not attached, and its number is not
 * given to another one before it is deleted: it is enough to look afterwards.
 *
 * Return: LIOV_NS_TAKEN if none of its users may go on, LIOV_NS_LOOK if what was true of it
 * may not be true after the command.
 */
enum liov_ns_effect liov_ns_command(const struct nvme_command *c, u8 fna, u32 *nsid)
{
	u32 cdw10 = le32_to_cpu(c->common.cdw10);

	*nsid = le32_to_cpu(c->common.nsid);
	switch (c->common.opcode) {
	case nvme_admin_format_nvm:
		if ((fna & LIOV_FNA_FORMAT_ALL) ||
		    ((fna & LIOV_FNA_ERASE_ALL) && LIOV_FORMAT_SES(cdw10)))
			*nsid = NVME_NSID_ALL;
		return LIOV_NS_TAKEN;
	case nvme_admin_sanitize_nvm:
		*nsid = NVME_NSID_ALL;
		return (cdw10 & LIOV_SANITIZE_ACT) >= LIOV_SANITIZE_BLOCK ?
			LIOV_NS_TAKEN : LIOV_NS_UNTOUCHED;
	case nvme_admin_ns_mgmt:
		return (cdw10 & LIOV_CDW10_SEL) == LIOV_NS_MGMT_DELETE ?
			LIOV_NS_TAKEN : LIOV_NS_UNTOUCHED;
	case nvme_admin_ns_attach:
		return (cdw10 & LIOV_CDW10_SEL) == LIOV_NS_ATTACH_DETACH ?
			LIOV_NS_LOOK : LIOV_NS_UNTOUCHED;
	case nvme_admin_activate_fw:
		/* Activation at the next reset is seen then. */
		*nsid = NVME_NSID_ALL;
		return LIOV_FW_ACTION(cdw10) == LIOV_FW_ACTIVATE_NOW ?
			LIOV_NS_LOOK : LIOV_NS_UNTOUCHED;
	default:
		return LIOV_NS_UNTOUCHED;
	}
}

/**
 * liov_ns_command_name() - such a command in words, for the log
 * @c: the command
 *
 * Return: a constant string.
 */
const char *liov_ns_command_name(const struct nvme_command *c)
{
	switch (c->common.opcode) {
	case nvme_admin_format_nvm:
		return "Format NVM (nvme format)";
	case nvme_admin_sanitize_nvm:
		return "Sanitize (nvme sanitize)";
	case nvme_admin_ns_mgmt:
		return "Namespace Management (nvme delete-ns)";
	case nvme_admin_ns_attach:
		return "Namespace Attachment (nvme detach-ns)";
	case nvme_admin_activate_fw:
		return "Firmware Commit (nvme fw-commit)";
	default:
		return "an unknown command";
	}
}
