// SPDX-License-Identifier: GPL-2.0
/*
 * The reference that the guard is compared with; see guard_ref.h.
 *
 * It shares no code, constant or idea of structure with guard.c: commands are 64 bytes
 * with bit fields as in the figures of the specifications, sums have 128 bits, PRPs
 * are followed entry by entry and data byte address by byte address.
 */
#include "guard_ref.h"

typedef unsigned __int128 u128;

#define REF_PAGE	4096ULL
#define REF_MAX_PAGES	514	/* 2 MiB with an offset, and one to spare */

/* Generic Command Status and NVM Command Set status, with DNR. */
#define REF_OPCODE	0x4001
#define REF_FIELD	0x4002
#define REF_INTERNAL	0x0006	/* no host memory: a retry can help */
#define REF_NSID	0x400b
#define REF_PRP_OFFSET	0x4013
#define REF_LBA		0x4080
#define REF_SIZE_LIMIT	0x4183

/* What an instance may have at the drive of commands that move no data: 64 MiB. */
#define REF_LOAD	67108864ULL

static u64 get_bytes(const u8 *p, unsigned int n)
{
	u64 v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

static void put_bytes(u8 *p, u64 v, unsigned int n)
{
	for (; n; n--, v >>= 8)
		*p++ = v;
}

/* Bits @hi:@lo of Command Dword @dw. */
static u32 bits(const u8 *cmd, unsigned int dw, unsigned int hi, unsigned int lo)
{
	u64 v = get_bytes(cmd + 4 * dw, 4);

	return (v >> lo) & ((1ULL << (hi - lo + 1)) - 1);
}

static void keep(u8 *out, const u8 *in, unsigned int dw, unsigned int hi, unsigned int lo)
{
	u64 v = get_bytes(out + 4 * dw, 4);

	put_bytes(out + 4 * dw, v | (u64)bits(in, dw, hi, lo) << lo, 4);
}

static void wrong(struct ref_verdict *v, u16 status)
{
	unsigned int i;

	for (i = 0; i < v->nr_status; i++)
		if (v->status[i] == status)
			return;
	if (v->nr_status < REF_MAX_STATUS)
		v->status[v->nr_status++] = status;
}

static u16 read_bytes(const struct ref_mem *mem, u64 addr, unsigned int n, u64 *val)
{
	u8 b[8];
	unsigned int i;
	u16 status;

	for (i = 0; i < n; i++) {
		status = mem->byte(mem->ctx, addr + i, &b[i]);
		if (status)
			return status;
	}
	*val = get_bytes(b, n);
	return 0;
}

/*
 * Base 2.0 section 4.1.1: the memory pages that @len bytes touch.  All that is wrong
 * goes into @v.  Returns how many pages are known, the first at least.
 */
static unsigned int prp_pages(const u8 *cmd, u64 len, const struct ref_mem *mem, u64 *page,
			      struct ref_verdict *v)
{
	u64 prp1 = get_bytes(cmd + 24, 8), prp2 = get_bytes(cmd + 32, 8);
	unsigned int n = (prp1 % REF_PAGE + len + REF_PAGE - 1) / REF_PAGE;
	unsigned int i;
	u64 where = prp2;
	u16 status;

	if (prp1 % 4)
		wrong(v, REF_PRP_OFFSET);
	page[0] = prp1 - prp1 % REF_PAGE;
	if (n == 2) {
		if (prp2 % REF_PAGE)
			wrong(v, REF_PRP_OFFSET);
		page[1] = prp2;
	}
	if (n <= 2)
		return n;

	if (prp2 % 8) {
		wrong(v, REF_PRP_OFFSET);
		return 1;
	}
	for (i = 1; i < n; i++) {
		/* the last entry of a list page points on, unless it is the last needed */
		if (where % REF_PAGE == REF_PAGE - 8 && i != n - 1) {
			status = read_bytes(mem, where, 8, &where);
			if (!status && where % REF_PAGE)
				status = REF_PRP_OFFSET;
			if (status) {
				wrong(v, status);
				return i;
			}
		}
		status = read_bytes(mem, where, 8, &page[i]);
		if (status) {
			wrong(v, status);
			return i;
		}
		where += 8;
	}
	for (i = 1; i < n; i++)
		if (page[i] % REF_PAGE)
			wrong(v, REF_PRP_OFFSET);
	return n;
}

static void add_bytes(struct ref_pieces *p, u64 addr, u64 len)
{
	struct ref_piece *last = p->n ? &p->piece[p->n - 1] : NULL;

	if (last && (u128)last->addr + last->len == addr) {
		last->len += len;
		return;
	}
	if (p->n < REF_MAX_PIECES) {
		p->piece[p->n].addr = addr;
		p->piece[p->n].len = len;
	}
	p->n++;
}

/*
 * Every byte of the data in turn; those that lie in the same aligned unit are
 * neighbours wherever the page is, so units are enough.
 */
static void data_bytes(const u8 *cmd, u64 len, const struct ref_mem *mem,
		       struct ref_pieces *p, struct ref_verdict *v)
{
	u64 first = get_bytes(cmd + 24, 8) % REF_PAGE;
	u64 page[REF_MAX_PAGES], pos, addr, bus, unit = REF_PAGE;
	unsigned int known = prp_pages(cmd, len, mem, page, v);
	u16 status;

	while ((first | len) % unit)
		unit /= 2;
	for (pos = first; pos < min(first + len, known * REF_PAGE); pos += unit) {
		addr = page[pos / REF_PAGE] + pos % REF_PAGE;
		status = mem->bus(mem->ctx, addr, &bus);
		if (status)
			wrong(v, status);
		else
			add_bytes(p, bus, unit);
	}
}

u16 ref_transfer(const u8 *cmd, u64 len, const struct ref_mem *mem, struct ref_pieces *p)
{
	static struct ref_verdict v;

	v.nr_status = 0;
	p->n = 0;
	data_bytes(cmd, len, mem, p, &v);
	return v.nr_status ? v.status[0] : 0;
}

/* What the guest's DPTR names for commands that bring a list of @len bytes. */
static void read_list(const u8 *cmd, u32 len, const struct ref_mem *mem, u8 *list,
		      struct ref_verdict *v)
{
	u64 first = get_bytes(cmd + 24, 8) % REF_PAGE;
	u64 page[REF_MAX_PAGES], pos;
	u16 status;
	u32 i;

	prp_pages(cmd, len, mem, page, v);
	if (v->nr_status)
		return;
	for (i = 0; i < len; i++) {
		pos = first + i;
		status = mem->byte(mem->ctx, page[pos / REF_PAGE] + pos % REF_PAGE, &list[i]);
		if (status) {
			wrong(v, status);
			return;
		}
	}
}

static bool outside(const struct liov_guard *g, u64 slba, u64 n)
{
	return (u128)slba + n > g->nlb;
}

/* NVM Command Set 1.0 section 3.2.3: 16 bytes a range, at most 256 of them. */
static void judge_dsm(const struct liov_guard *g, const u8 *cmd, const struct ref_mem *mem,
		      struct ref_verdict *v)
{
	u32 nr = bits(cmd, 10, 7, 0) + 1, i;
	static u8 list[4096];
	u64 lbas = 0;

	if (nr > g->max_dsm_ranges) {
		wrong(v, REF_SIZE_LIMIT);
		return;
	}
	read_list(cmd, nr * 16, mem, list, v);
	if (v->nr_status)
		return;
	for (i = 0; i < nr; i++) {
		const u8 *in = list + 16 * i;
		u8 *out = v->page + 16 * i;
		u64 n = get_bytes(in + 4, 4), slba = get_bytes(in + 8, 8);

		if (n && outside(g, slba, n))
			wrong(v, REF_LBA);
		/* access frequency and latency, the three flags, access size */
		keep(out, in, 0, 3, 0);
		keep(out, in, 0, 5, 4);
		keep(out, in, 0, 8, 8);
		keep(out, in, 0, 9, 9);
		keep(out, in, 0, 10, 10);
		keep(out, in, 0, 31, 24);
		if (n > g->max_dsm_range)
			wrong(v, REF_SIZE_LIMIT);
		put_bytes(out + 4, n, 4);
		put_bytes(out + 8, g->first + (n ? slba : 0), 8);
		lbas += n;
	}
	if (lbas > g->max_dsm)
		wrong(v, REF_SIZE_LIMIT);
	keep(v->cmd, cmd, 10, 7, 0);
	keep(v->cmd, cmd, 11, 2, 0);
	v->page_len = nr * 16;
	v->load = REF_LOAD / 8;
	v->io = LIOV_IO_DISCARD;
	v->bytes = lbas << g->lba_shift;
}

/* NVM Command Set 1.0 section 3.2.2: Descriptor Format 0h has 32 bytes. */
static void judge_copy(const struct liov_guard *g, const u8 *cmd, const struct ref_mem *mem,
		       struct ref_verdict *v)
{
	u32 nr = bits(cmd, 12, 7, 0) + 1, i;
	u64 to = get_bytes(cmd + 40, 8);
	static u8 list[32 * 256];
	u64 lbas = 0;

	read_list(cmd, nr * 32, mem, list, v);
	if (v->nr_status)
		return;
	for (i = 0; i < nr; i++) {
		const u8 *in = list + 32 * i;
		u64 slba = get_bytes(in + 8, 8), n = get_bytes(in + 16, 2) + 1;

		if (n > g->max_copy_range)
			wrong(v, REF_SIZE_LIMIT);
		if (outside(g, slba, n))
			wrong(v, REF_LBA);
		put_bytes(v->page + 32 * i + 8, g->first + slba, 8);
		put_bytes(v->page + 32 * i + 16, n - 1, 2);
		lbas += n;
	}
	if (lbas > g->max_copy)
		wrong(v, REF_SIZE_LIMIT);
	if (outside(g, to, lbas))
		wrong(v, REF_LBA);
	put_bytes(v->cmd + 40, g->first + to, 8);
	keep(v->cmd, cmd, 12, 31, 31);
	keep(v->cmd, cmd, 12, 30, 30);
	keep(v->cmd, cmd, 12, 7, 0);
	v->page_len = nr * 32;
	v->io = LIOV_IO_WRITE;
	v->bytes = lbas << g->lba_shift;
	v->load = min(v->bytes, REF_LOAD);
}

/* Sections 3.2.1 and 3.2.4 to 3.2.8, which share SLBA and NLB. */
static void judge_lbas(const struct liov_guard *g, const u8 *cmd, const struct ref_mem *mem,
		       bool has_page, struct ref_verdict *v)
{
	u64 slba = get_bytes(cmd + 40, 8), n = (u64)bits(cmd, 12, 15, 0) + 1;
	u8 opcode = cmd[0];
	u64 offset;

	if (outside(g, slba, n)) {
		wrong(v, REF_LBA);
		return;
	}
	put_bytes(v->cmd + 40, g->first + slba, 8);
	keep(v->cmd, cmd, 12, 15, 0);
	if (opcode != 0x04) {			/* Write Uncorrectable: neither */
		keep(v->cmd, cmd, 12, 31, 31);	/* Limited Retry */
		keep(v->cmd, cmd, 12, 30, 30);	/* Force Unit Access */
	}
	if (opcode == 0x08)			/* Write Zeroes: Deallocate */
		keep(v->cmd, cmd, 12, 25, 25);
	if (opcode == 0x01 || opcode == 0x02)	/* Dataset Management */
		keep(v->cmd, cmd, 13, 7, 0);

	v->io = opcode == 0x08 ? LIOV_IO_DISCARD :
		opcode == 0x01 || opcode == 0x04 ? LIOV_IO_WRITE : LIOV_IO_READ;
	v->bytes = n << g->lba_shift;
	if (opcode != 0x01 && opcode != 0x02 && opcode != 0x05) {
		v->load = min(v->bytes, REF_LOAD);
		return;
	}

	offset = get_bytes(cmd + 24, 8) % REF_PAGE;
	v->needs_page = offset + v->bytes > 2 * REF_PAGE;
	if (v->needs_page && !has_page)
		wrong(v, REF_INTERNAL);
	data_bytes(cmd, v->bytes, mem, &v->data, v);
}

/* Which ONCS bit offers an opcode: -1 none, 16 needs none. */
static int oncs_bit(u8 opcode)
{
	static const s8 bit[] = {
		[0x00] = 16, [0x01] = 16, [0x02] = 16, [0x04] = 1, [0x05] = 0, [0x08] = 3,
		[0x09] = 2, [0x0c] = 7, [0x19] = 8,
		[0x03] = -1, [0x06] = -1, [0x07] = -1, [0x0a] = -1, [0x0b] = -1,
		[0x0d ... 0x18] = -1,
	};

	return opcode < sizeof(bit) ? bit[opcode] : -1;
}

/* Each stage is judged only if the ones before found nothing. */
static void judge(const struct liov_guard *g, const u8 *cmd, const struct ref_mem *mem,
		  bool has_page, struct ref_verdict *v)
{
	u8 opcode = cmd[0];
	u32 nsid = bits(cmd, 1, 31, 0);
	bool transfers = opcode == 0x01 || opcode == 0x02 || opcode == 0x05;
	u64 size = ((u64)bits(cmd, 12, 15, 0) + 1) << g->lba_shift;
	bool directive = opcode == 0x01 || opcode == 0x04 || opcode == 0x08 || opcode == 0x19;

	if (oncs_bit(opcode) < 0 || !((g->oncs | 1U << 16) >> oncs_bit(opcode) & 1)) {
		wrong(v, REF_OPCODE);
		return;
	}
	if (bits(cmd, 0, 9, 8) || bits(cmd, 0, 15, 14)) {
		wrong(v, REF_FIELD);
		return;
	}
	/* valid NSIDs are 1 to NN, which is the only active one */
	if (nsid != g->nsid) {
		wrong(v, nsid >= 1 && nsid <= g->nsid ? REF_FIELD : REF_NSID);
		return;
	}

	v->cmd[0] = opcode;
	put_bytes(v->cmd + 4, g->hw_nsid, 4);
	if (opcode == 0x00) {
		v->io = LIOV_IO_FLUSH;
		v->load = REF_LOAD / 16;
		return;
	}
	if (directive && bits(cmd, 12, 23, 20))
		wrong(v, REF_FIELD);
	if (transfers && size > g->max_bytes)
		wrong(v, REF_FIELD);
	if ((opcode == 0x04 && size > g->max_uncor) || (opcode == 0x08 && size > g->max_zeroes) ||
	    (opcode == 0x0c && size > g->max_verify))
		wrong(v, REF_FIELD);
	if (opcode == 0x19 && bits(cmd, 12, 11, 8))
		wrong(v, REF_FIELD);
	if (v->nr_status)
		return;
	if (opcode == 0x19 && (bits(cmd, 12, 7, 0) + 1 > g->max_copy_ranges ||
			       (bits(cmd, 12, 7, 0) + 1) * 32 > 4096)) {
		wrong(v, REF_SIZE_LIMIT);
		return;
	}

	if (opcode != 0x09 && opcode != 0x19) {
		judge_lbas(g, cmd, mem, has_page, v);
		return;
	}
	v->needs_page = true;
	if (!has_page)
		wrong(v, REF_INTERNAL);
	if (opcode == 0x09)
		judge_dsm(g, cmd, mem, v);
	else
		judge_copy(g, cmd, mem, v);
}

void ref_judge(const struct liov_guard *g, const struct nvme_command *c,
	       const struct ref_mem *mem, bool has_page, struct ref_verdict *v)
{
	u8 cmd[64];

	memcpy(cmd, c, sizeof(cmd));
	v->nr_status = 0;
	memset(v->cmd, 0, sizeof(v->cmd));
	v->data.n = 0;
	v->page_len = 0;
	v->needs_page = false;
	v->io = LIOV_IO_READ;
	v->bytes = 0;
	v->load = 0;
	memset(v->page, 0, sizeof(v->page));
	judge(g, cmd, mem, has_page, v);
}
