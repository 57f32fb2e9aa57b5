// SPDX-License-Identifier: GPL-2.0
/* Get Log Page: log.c */
#include "harness.h"
#include "model/model.h"

#define MDTS 0x20000
#define V14 NVME_VS(1, 4, 0)
#define V20 NVME_VS(2, 0, 0)

static struct nvme_command cmd(u8 lid, u32 len, u64 offset)
{
	u32 numd = len / 4 - 1;
	struct nvme_command c = {};

	c.get_log_page.lid = lid;
	c.get_log_page.nsid = cpu_to_le32(NVME_NSID_ALL);
	c.get_log_page.numdl = cpu_to_le16(numd & 0xffff);
	c.get_log_page.numdu = cpu_to_le16(numd >> 16);
	c.get_log_page.lpo = cpu_to_le64(offset);
	return c;
}

static u16 route(const struct nvme_command *c, u32 vs, int want, struct liov_log_req *req)
{
	struct liov_ident id = { .nsid = 1, .nr_pairs = 1, .vs = vs };
	u16 status = 0xffff;

	EXPECT_EQ(liov_log_route(c, &id, MDTS, req, &status), want);
	return status;
}

static struct liov_log_req ok(u8 lid, u32 vs, int want, u32 size)
{
	struct nvme_command c = cmd(lid, 512, 0);
	struct liov_log_req req;

	EXPECT_EQ(route(&c, vs, want, &req), 0);
	EXPECT_EQ(req.lid, lid);
	EXPECT_EQ(req.size, size);
	EXPECT_EQ(req.len, 512);
	return req;
}

TEST(log_pages_come_from_where_they_belong)
{
	ok(NVME_LOG_ERROR, V14, LIOV_LOG_OWN, 1024);
	ok(NVME_LOG_SMART, V14, LIOV_LOG_PASS, 512);
	ok(NVME_LOG_FW_SLOT, V14, LIOV_LOG_PASS, 512);
	ok(NVME_LOG_CHANGED_NS, V14, LIOV_LOG_OWN, 4096);
	ok(NVME_LOG_CMD_EFFECTS, V14, LIOV_LOG_PASS, 4096);
	ok(0, V20, LIOV_LOG_OWN, 1024);
}

TEST(unknown_log_pages_are_refused)
{
	struct liov_log_req req;
	struct nvme_command c;
	unsigned int lid;

	for (lid = 6; lid < 256; lid++) {
		c = cmd(lid, 512, 0);
		EXPECT_EQ(route(&c, V20, LIOV_LOG_REFUSE, &req), DNR(0x109));
	}
	c = cmd(0, 512, 0);
	EXPECT_EQ(route(&c, V14, LIOV_LOG_REFUSE, &req), DNR(0x109));
}

TEST(log_length_has_32_bits_and_is_0s_based)
{
	struct nvme_command c = cmd(NVME_LOG_SMART, 4, 0);
	struct liov_log_req req;

	EXPECT_EQ(route(&c, V14, LIOV_LOG_PASS, &req), 0);
	EXPECT_EQ(req.len, 4);
	c = cmd(NVME_LOG_SMART, MDTS, 0);
	EXPECT_EQ(route(&c, V14, LIOV_LOG_PASS, &req), 0);
	EXPECT_EQ(req.len, MDTS);
	c = cmd(NVME_LOG_SMART, MDTS + 4, 0);
	EXPECT_EQ(route(&c, V14, LIOV_LOG_REFUSE, &req), DNR(0x02));
	c.get_log_page.numdl = cpu_to_le16(0xffff);
	c.get_log_page.numdu = cpu_to_le16(0xffff);
	EXPECT_EQ(route(&c, V14, LIOV_LOG_REFUSE, &req), DNR(0x02));
	c = cmd(NVME_LOG_SMART, 512, 0);
	c.get_log_page.numdu = cpu_to_le16(1);
	EXPECT_EQ(route(&c, V14, LIOV_LOG_REFUSE, &req), DNR(0x02));
}

TEST(log_length_without_mdts_still_fits_32_bits)
{
	struct liov_ident id = { .nsid = 1, .nr_pairs = 1, .vs = V14 };
	struct nvme_command c = cmd(NVME_LOG_SMART, 0x10000000, 0);
	struct liov_log_req req;
	u16 status;

	EXPECT_EQ(liov_log_route(&c, &id, 0, &req, &status), LIOV_LOG_PASS);
	EXPECT_EQ(req.len, 0x10000000);
	c.get_log_page.numdu = cpu_to_le16(0x4000);
	EXPECT_EQ(liov_log_route(&c, &id, 0, &req, &status), LIOV_LOG_REFUSE);
}

TEST(log_offset_is_dwords_within_the_page)
{
	struct nvme_command c = cmd(NVME_LOG_ERROR, 64, 960);
	struct liov_log_req req;

	EXPECT_EQ(route(&c, V14, LIOV_LOG_OWN, &req), 0);
	EXPECT_EQ(req.offset, 960);
	c = cmd(NVME_LOG_ERROR, 64, 1024);
	EXPECT_EQ(route(&c, V14, LIOV_LOG_OWN, &req), 0);
	c = cmd(NVME_LOG_ERROR, 64, 1028);
	EXPECT_EQ(route(&c, V14, LIOV_LOG_REFUSE, &req), DNR(0x02));
	c = cmd(NVME_LOG_ERROR, 64, 2);
	EXPECT_EQ(route(&c, V14, LIOV_LOG_REFUSE, &req), DNR(0x02));
	/* the upper half counts */
	c = cmd(NVME_LOG_ERROR, 64, 1ULL << 32);
	EXPECT_EQ(route(&c, V14, LIOV_LOG_REFUSE, &req), DNR(0x02));
}

TEST(log_offset_is_no_index)
{
	struct nvme_command c = cmd(NVME_LOG_ERROR, 64, 0);
	struct liov_log_req req;

	c.get_log_page.rsvd14[2] = 0x80;
	EXPECT_EQ(route(&c, V20, LIOV_LOG_REFUSE, &req), DNR(0x02));
}

TEST(log_pages_are_not_per_namespace)
{
	struct nvme_command c = cmd(NVME_LOG_SMART, 512, 0);
	struct liov_log_req req;

	c.get_log_page.nsid = cpu_to_le32(1);
	EXPECT_EQ(route(&c, V14, LIOV_LOG_REFUSE, &req), DNR(0x02));
	c.get_log_page.nsid = 0;
	EXPECT_EQ(route(&c, V14, LIOV_LOG_PASS, &req), 0);
	EXPECT_EQ(req.nsid, 0);
}

TEST(effects_are_those_of_the_nvm_command_set)
{
	struct nvme_command c = cmd(NVME_LOG_CMD_EFFECTS, 4096, 0);
	struct liov_log_req req;

	c.get_log_page.csi = NVME_CSI_ZNS;
	EXPECT_EQ(route(&c, V20, LIOV_LOG_REFUSE, &req), DNR(0x02));
}

TEST(retain_event_is_decoded)
{
	struct nvme_command c = cmd(NVME_LOG_CHANGED_NS, 4096, 0);
	struct liov_log_req req;

	EXPECT_EQ(route(&c, V14, LIOV_LOG_OWN, &req), 0);
	EXPECT(!req.rae);
	c.get_log_page.lsp = 0x7f;
	EXPECT_EQ(route(&c, V14, LIOV_LOG_OWN, &req), 0);
	EXPECT(!req.rae);
	c.get_log_page.lsp = 0x80;
	EXPECT_EQ(route(&c, V14, LIOV_LOG_OWN, &req), 0);
	EXPECT(req.rae);
}

TEST(smart_keeps_health_and_hides_other_users)
{
	struct liov_log_req req = ok(NVME_LOG_SMART, V14, LIOV_LOG_PASS, 512);
	struct nvme_smart_log s;

	memset(&s, 0xff, sizeof(s));
	liov_log_filter(&req, &s);
	EXPECT_EQ(s.critical_warning, 0x1f);
	EXPECT_EQ(s.temperature[0], 0xff);
	EXPECT_EQ(s.avail_spare, 0xff);
	EXPECT_EQ(s.percent_used, 0xff);
	EXPECT_EQ(s.media_errors[0], 0xff);
	EXPECT_EQ(s.power_on_hours[0], 0xff);
	EXPECT_EQ(s.warning_temp_time, 0xffffffff);
	EXPECT_EQ(s.temp_sensor[0], 0xffff);
	EXPECT_EQ(s.endu_grp_crit_warn_sumry, 0);
	EXPECT(all_zero(s.data_units_read, 16));
	EXPECT(all_zero(s.data_units_written, 16));
	EXPECT(all_zero(s.host_reads, 16));
	EXPECT(all_zero(s.host_writes, 16));
	EXPECT(all_zero(s.ctrl_busy_time, 16));
	EXPECT(all_zero(s.num_err_log_entries, 16));
	EXPECT(all_zero(s.rsvd7, sizeof(s.rsvd7)));
	EXPECT(all_zero(s.rsvd232, sizeof(s.rsvd232)));
}

TEST(firmware_log_shows_the_active_slot_as_the_only_one)
{
	struct liov_log_req req = ok(NVME_LOG_FW_SLOT, V14, LIOV_LOG_PASS, 512);
	struct nvme_fw_slot_info_log fw;

	memset(&fw, 0xff, sizeof(fw));
	fw.afi = 0x53;
	fw.frs[2] = cpu_to_le64(0x1122334455667788);
	liov_log_filter(&req, &fw);
	EXPECT_EQ(fw.afi, 1);
	EXPECT_EQ(le64_to_cpu(fw.frs[0]), 0x1122334455667788);
	EXPECT(all_zero(&fw.frs[1], sizeof(fw) - 16));
	EXPECT(all_zero(fw.rsvd1, sizeof(fw.rsvd1)));
	/* seven slots, and a drive that names none */
	fw.afi = 7;
	fw.frs[6] = cpu_to_le64(5);
	liov_log_filter(&req, &fw);
	EXPECT_EQ(le64_to_cpu(fw.frs[0]), 5);
	fw.afi = 0;
	liov_log_filter(&req, &fw);
	EXPECT_EQ(le64_to_cpu(fw.frs[0]), 5);
}

TEST(effects_list_only_what_is_offered)
{
	static const u8 admin[] = { 0, 1, 2, 4, 5, 6, 8, 9, 0xa, 0xc };
	static const u8 io[] = { 0, 1, 2, 4, 5, 8, 9, 0xc, 0x19 };
	struct liov_log_req req = ok(NVME_LOG_CMD_EFFECTS, V14, LIOV_LOG_PASS, 4096);
	static struct nvme_effects_log e;
	unsigned int i, n = 0, m = 0;

	memset(&e, 0xff, sizeof(e));
	liov_log_filter(&req, &e);
	for (i = 0; i < ARRAY_SIZE(admin); i++)
		EXPECT_EQ(le32_to_cpu(e.acs[admin[i]]), 0xfff7ffff);
	for (i = 0; i < ARRAY_SIZE(io); i++)
		EXPECT_EQ(le32_to_cpu(e.iocs[io[i]]), 0xfff7ffff);
	for (i = 0; i < 256; i++) {
		n += !!e.acs[i];
		m += !!e.iocs[i];
	}
	EXPECT_EQ(n, ARRAY_SIZE(admin));
	EXPECT_EQ(m, ARRAY_SIZE(io));
	EXPECT(all_zero(e.resv, sizeof(e.resv)));
	/* what the drive lacks stays absent */
	memset(&e, 0, sizeof(e));
	liov_log_filter(&req, &e);
	EXPECT(all_zero(&e, sizeof(e)));
}

TEST(a_page_without_a_filter_passes_empty)
{
	struct liov_log_req req = { .lid = 0x70, .size = 512 };
	u8 page[512];

	memset(page, 0xff, sizeof(page));
	liov_log_filter(&req, page);
	EXPECT(all_zero(page, sizeof(page)));
}

TEST(supported_pages_are_those_that_are_answered)
{
	struct liov_log_req req = ok(0, V20, LIOV_LOG_OWN, 1024);
	static struct liov_log_state st;
	__le32 page[256];
	unsigned int lid;

	memset(page, 0xff, sizeof(page));
	liov_log_build(&req, &st, page);
	for (lid = 0; lid < 256; lid++)
		EXPECT_EQ(le32_to_cpu(page[lid]), lid <= 5);
}

TEST(changed_namespaces_lists_what_changed)
{
	struct liov_log_req req = ok(NVME_LOG_CHANGED_NS, V14, LIOV_LOG_OWN, 4096);
	static struct liov_log_state st;
	static __le32 page[1024];

	memset(page, 0xff, sizeof(page));
	liov_log_build(&req, &st, page);
	EXPECT(all_zero(page, sizeof(page)));
	st.changed_ns = 7;
	liov_log_build(&req, &st, page);
	EXPECT_EQ(le32_to_cpu(page[0]), 7);
	EXPECT(all_zero(page + 1, sizeof(page) - 4));
}

TEST(error_log_is_newest_first)
{
	struct liov_log_req req = ok(NVME_LOG_ERROR, V14, LIOV_LOG_OWN, 1024);
	struct nvme_error_slot page[LIOV_LOG_ERRORS];
	struct liov_log_state st = {};

	memset(page, 0xff, sizeof(page));
	liov_log_build(&req, &st, page);
	EXPECT(all_zero(page, sizeof(page)));
	liov_log_record_error(&st, 0, 0x11, DNR(NVME_SC_INVALID_OPCODE), 0);
	liov_log_record_error(&st, 3, 0x22, DNR(NVME_SC_LBA_RANGE), 1);
	liov_log_build(&req, &st, page);
	EXPECT_EQ(le64_to_cpu(page[0].error_count), 2);
	EXPECT_EQ(le16_to_cpu(page[0].sqid), 3);
	EXPECT_EQ(le16_to_cpu(page[0].cmdid), 0x22);
	EXPECT_EQ(le16_to_cpu(page[0].status_field), 0x8100);
	EXPECT_EQ(le16_to_cpu(page[0].param_error_location), 0xffff);
	EXPECT_EQ(le32_to_cpu(page[0].nsid), 1);
	EXPECT_EQ(le64_to_cpu(page[1].error_count), 1);
	EXPECT_EQ(le16_to_cpu(page[1].cmdid), 0x11);
	EXPECT(all_zero(&page[2], sizeof(page) - 2 * sizeof(page[0])));
}

TEST(error_log_forgets_the_oldest)
{
	struct liov_log_req req = ok(NVME_LOG_ERROR, V14, LIOV_LOG_OWN, 1024);
	struct nvme_error_slot page[LIOV_LOG_ERRORS];
	struct liov_log_state st = {};
	unsigned int i;

	for (i = 0; i < LIOV_LOG_ERRORS + 5; i++)
		liov_log_record_error(&st, 0, i, 2, 0);
	liov_log_build(&req, &st, page);
	for (i = 0; i < LIOV_LOG_ERRORS; i++)
		EXPECT_EQ(le64_to_cpu(page[i].error_count), LIOV_LOG_ERRORS + 5 - i);
}

TEST(events_name_their_log_page)
{
	EXPECT_EQ(liov_event_result(LIOV_EVENT_DB_REGISTER), 0x010000);
	EXPECT_EQ(liov_event_result(LIOV_EVENT_DB_VALUE), 0x010100);
	EXPECT_EQ(liov_event_result(LIOV_EVENT_INTERNAL), 0x010300);
	EXPECT_EQ(liov_event_result(LIOV_EVENT_NS_ATTR), 0x040002);
	EXPECT_EQ(liov_event_result(LIOV_NR_EVENTS), 0);
}
