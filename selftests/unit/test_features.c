// SPDX-License-Identifier: GPL-2.0
/* Get and Set Features: features.c */
#include "harness.h"
#include "model/model.h"

static struct nvme_id_ctrl hw;

static struct liov_features init(void)
{
	struct liov_features f;

	hw.rab = 4;
	hw.wctemp = cpu_to_le16(343);
	memset(&f, 0xa5, sizeof(f));
	liov_features_init(&f, 4, 2, true, &hw);
	return f;
}

static struct nvme_command cmd(u32 cdw10, u32 nsid, u32 cdw11)
{
	struct nvme_command c = {};

	c.features.fid = cpu_to_le32(cdw10);
	c.features.nsid = cpu_to_le32(nsid);
	c.features.dword11 = cpu_to_le32(cdw11);
	return c;
}

static u16 set_ns(struct liov_features *f, u32 cdw10, u32 nsid, u32 cdw11)
{
	struct nvme_command c = cmd(cdw10, nsid, cdw11);
	u8 data[16] = {};
	u32 result;

	return liov_set_features(f, &c, data, false, 1000, &result);
}

static u16 set(struct liov_features *f, u32 cdw10, u32 cdw11)
{
	return set_ns(f, cdw10, 0, cdw11);
}

static u16 get_ns(const struct liov_features *f, u32 cdw10, u32 nsid, u32 cdw11, u32 *result)
{
	struct nvme_command c = cmd(cdw10, nsid, cdw11);
	u8 data[16];

	return liov_get_features(f, &c, data, 1000, result);
}

static u32 get(const struct liov_features *f, u32 cdw10, u32 cdw11)
{
	u32 result = 0xdeadbeef;

	EXPECT_EQ(get_ns(f, cdw10, 0, cdw11, &result), 0);
	return result;
}

TEST(features_that_are_not_ours_are_refused)
{
	static const u8 known[] = { 1, 2, 4, 5, 6, 7, 8, 9, 0xa, 0xb, 0xe, 0x81 };
	struct liov_features f = init(), before = f;
	unsigned int fid, i;
	u32 result;

	for (fid = 0; fid < 256; fid++) {
		for (i = 0; i < ARRAY_SIZE(known) && known[i] != fid; i++)
			;
		if (i < ARRAY_SIZE(known))
			continue;
		EXPECT_EQ(set(&f, fid, 0), DNR(NVME_SC_INVALID_FIELD));
		EXPECT_EQ(get_ns(&f, fid, 0, 0, &result), DNR(NVME_SC_INVALID_FIELD));
	}
	EXPECT_MEM(&f, &before, sizeof(f));
}

TEST(nothing_is_saveable)
{
	struct liov_features f = init(), before = f;

	EXPECT_EQ(set(&f, 1U << 31 | NVME_FEAT_ARBITRATION, 3), DNR(0x10d));
	EXPECT_EQ(set(&f, 1U << 31 | NVME_FEAT_LBA_RANGE, 3), DNR(0x02));
	EXPECT_MEM(&f, &before, sizeof(f));
}

TEST(select_other_than_current_is_refused)
{
	struct liov_features f = init();
	u32 sel, result;

	EXPECT_EQ(set(&f, NVME_FEAT_ARBITRATION, 3), 0);
	EXPECT_EQ(get(&f, NVME_FEAT_ARBITRATION, 0), 3);
	for (sel = 1; sel < 8; sel++)
		EXPECT_EQ(get_ns(&f, sel << 8 | NVME_FEAT_ARBITRATION, 0, 0, &result),
			  DNR(NVME_SC_INVALID_FIELD));
}

TEST(controller_features_take_no_namespace)
{
	struct liov_features f = init();
	u32 result;

	EXPECT_EQ(set_ns(&f, NVME_FEAT_ARBITRATION, 0xffffffff, 1), 0);
	EXPECT_EQ(set_ns(&f, NVME_FEAT_ARBITRATION, 2, 1), DNR(0x10f));
	EXPECT_EQ(set_ns(&f, NVME_FEAT_ARBITRATION, 1, 1), DNR(0x10f));
	EXPECT_EQ(set_ns(&f, NVME_FEAT_ARBITRATION, 3, 1), DNR(NVME_SC_INVALID_NS));
	EXPECT_EQ(get_ns(&f, NVME_FEAT_ARBITRATION, 2, 0, &result), 0);
}

TEST(error_recovery_takes_the_namespace)
{
	struct liov_features f = init();
	u32 result;

	EXPECT_EQ(set_ns(&f, NVME_FEAT_ERR_RECOVERY, 2, 0x1234), 0);
	EXPECT_EQ(get_ns(&f, NVME_FEAT_ERR_RECOVERY, 2, 0, &result), 0);
	EXPECT_EQ(result, 0x1234);
	EXPECT_EQ(set_ns(&f, NVME_FEAT_ERR_RECOVERY, 0xffffffff, 1), 0);
	EXPECT_EQ(set_ns(&f, NVME_FEAT_ERR_RECOVERY, 0, 1), DNR(NVME_SC_INVALID_NS));
	EXPECT_EQ(set_ns(&f, NVME_FEAT_ERR_RECOVERY, 3, 1), DNR(NVME_SC_INVALID_NS));
	EXPECT_EQ(set_ns(&f, NVME_FEAT_ERR_RECOVERY, 1, 1), DNR(NVME_SC_INVALID_FIELD));
	EXPECT_EQ(get_ns(&f, NVME_FEAT_ERR_RECOVERY, 0xffffffff, 0, &result),
		  DNR(NVME_SC_INVALID_NS));
}

TEST(deallocated_block_errors_cannot_be_enabled)
{
	struct liov_features f = init();

	EXPECT_EQ(set_ns(&f, NVME_FEAT_ERR_RECOVERY, 2, 1 << 16), DNR(NVME_SC_INVALID_FIELD));
}

TEST(arbitration_keeps_its_defined_bits)
{
	struct liov_features f = init();

	EXPECT_EQ(get(&f, NVME_FEAT_ARBITRATION, 0), 4);
	EXPECT_EQ(set(&f, NVME_FEAT_ARBITRATION, ~0U), 0);
	EXPECT_EQ(get(&f, NVME_FEAT_ARBITRATION, 0), 0xffffff07);
}

TEST(power_state_0_is_the_only_one)
{
	struct liov_features f = init();

	EXPECT_EQ(set(&f, NVME_FEAT_POWER_MGMT, 1), DNR(NVME_SC_INVALID_FIELD));
	EXPECT_EQ(set(&f, NVME_FEAT_POWER_MGMT, 0xffffff20), 0);
	EXPECT_EQ(get(&f, NVME_FEAT_POWER_MGMT, 0), 0x20);
}

TEST(temperature_threshold_defaults_to_the_drives_warning)
{
	struct liov_features f = init();

	EXPECT_EQ(get(&f, NVME_FEAT_TEMP_THRESH, 0), 343);
	EXPECT_EQ(get(&f, NVME_FEAT_TEMP_THRESH, NVME_TEMP_THRESH_TYPE_UNDER), 0);
	EXPECT_EQ(get(&f, NVME_FEAT_TEMP_THRESH, 8 << 16), 0xffff);
}

TEST(temperature_thresholds_are_separate)
{
	struct liov_features f = init();

	EXPECT_EQ(set(&f, NVME_FEAT_TEMP_THRESH, 350), 0);
	EXPECT_EQ(set(&f, NVME_FEAT_TEMP_THRESH, NVME_TEMP_THRESH_TYPE_UNDER | 270), 0);
	EXPECT_EQ(set(&f, NVME_FEAT_TEMP_THRESH, 2 << 16 | 360), 0);
	EXPECT_EQ(get(&f, NVME_FEAT_TEMP_THRESH, 0), 350);
	EXPECT_EQ(get(&f, NVME_FEAT_TEMP_THRESH, NVME_TEMP_THRESH_TYPE_UNDER), 270);
	EXPECT_EQ(get(&f, NVME_FEAT_TEMP_THRESH, 2 << 16), 360);
	EXPECT_EQ(get(&f, NVME_FEAT_TEMP_THRESH, 1 << 16), 0xffff);
}

TEST(temperature_threshold_of_all_sensors_is_for_set_only)
{
	struct liov_features f = init();
	u32 result;

	EXPECT_EQ(set(&f, NVME_FEAT_TEMP_THRESH, 0xf << 16 | 300), 0);
	EXPECT_EQ(get(&f, NVME_FEAT_TEMP_THRESH, 0), 300);
	EXPECT_EQ(get(&f, NVME_FEAT_TEMP_THRESH, 8 << 16), 300);
	EXPECT_EQ(get(&f, NVME_FEAT_TEMP_THRESH, NVME_TEMP_THRESH_TYPE_UNDER), 0);
	EXPECT_EQ(get_ns(&f, NVME_FEAT_TEMP_THRESH, 0, 0xf << 16, &result),
		  DNR(NVME_SC_INVALID_FIELD));
}

TEST(temperature_threshold_refuses_reserved_selectors)
{
	struct liov_features f = init();
	u32 result;

	EXPECT_EQ(set(&f, NVME_FEAT_TEMP_THRESH, 9 << 16), DNR(NVME_SC_INVALID_FIELD));
	EXPECT_EQ(set(&f, NVME_FEAT_TEMP_THRESH, 2 << 20), DNR(NVME_SC_INVALID_FIELD));
	EXPECT_EQ(get_ns(&f, NVME_FEAT_TEMP_THRESH, 0, 9 << 16, &result),
		  DNR(NVME_SC_INVALID_FIELD));
	EXPECT_EQ(get_ns(&f, NVME_FEAT_TEMP_THRESH, 0, 2 << 20, &result),
		  DNR(NVME_SC_INVALID_FIELD));
}

TEST(write_cache_cannot_be_turned_off_for_one_guest)
{
	struct liov_features f = init();

	EXPECT_EQ(get(&f, NVME_FEAT_VOLATILE_WC, 0), 1);
	EXPECT_EQ(set(&f, NVME_FEAT_VOLATILE_WC, 1), 0);
	EXPECT_EQ(set(&f, NVME_FEAT_VOLATILE_WC, 0), DNR(0x10e));
	EXPECT_EQ(get(&f, NVME_FEAT_VOLATILE_WC, 0), 1);
}

TEST(write_cache_feature_needs_a_write_cache)
{
	struct liov_features f;
	u32 result;

	liov_features_init(&f, 4, 2, false, NULL);
	EXPECT_EQ(set(&f, NVME_FEAT_VOLATILE_WC, 1), DNR(NVME_SC_INVALID_FIELD));
	EXPECT_EQ(get_ns(&f, NVME_FEAT_VOLATILE_WC, 0, 0, &result), DNR(NVME_SC_INVALID_FIELD));
	/* defaults without the drive's data */
	EXPECT_EQ(get(&f, NVME_FEAT_ARBITRATION, 0), 7);
	EXPECT_EQ(get(&f, NVME_FEAT_TEMP_THRESH, 0), 0xffff);
}

TEST(number_of_queues_is_what_the_instance_has)
{
	struct nvme_command c = cmd(NVME_FEAT_NUM_QUEUES, 0, 63 << 16 | 63);
	struct liov_features f = init();
	u32 result = 0;

	EXPECT(!f.queues_negotiated);
	EXPECT_EQ(liov_set_features(&f, &c, NULL, false, 0, &result), 0);
	EXPECT_EQ(result, 3 << 16 | 3);
	EXPECT(f.queues_negotiated);
	EXPECT_EQ(get(&f, NVME_FEAT_NUM_QUEUES, 0), 3 << 16 | 3);
}

TEST(number_of_queues_is_what_the_drive_still_grants)
{
	struct liov_features f = init();

	f.nr_queues = 1;
	EXPECT_EQ(get(&f, NVME_FEAT_NUM_QUEUES, 0), 0);
	liov_features_reset(&f);
	EXPECT_EQ(get(&f, NVME_FEAT_NUM_QUEUES, 0), 0);
}

TEST(number_of_queues_refuses_65536)
{
	struct liov_features f = init();

	EXPECT_EQ(set(&f, NVME_FEAT_NUM_QUEUES, 0xffff), DNR(NVME_SC_INVALID_FIELD));
	EXPECT_EQ(set(&f, NVME_FEAT_NUM_QUEUES, 0xffff0000), DNR(NVME_SC_INVALID_FIELD));
	EXPECT(!f.queues_negotiated);
}

TEST(number_of_queues_comes_before_the_queues)
{
	struct nvme_command c = cmd(NVME_FEAT_NUM_QUEUES, 0, 1 << 16 | 1);
	struct liov_features f = init();
	u32 result;

	EXPECT_EQ(liov_set_features(&f, &c, NULL, true, 0, &result), DNR(NVME_SC_CMD_SEQ_ERROR));
}

TEST(interrupt_coalescing_keeps_its_bits)
{
	struct liov_features f = init();

	EXPECT_EQ(set(&f, NVME_FEAT_IRQ_COALESCE, 0xabcd1234), 0);
	EXPECT_EQ(get(&f, NVME_FEAT_IRQ_COALESCE, 0), 0x1234);
}

TEST(interrupt_config_is_per_vector)
{
	struct liov_features f = init();
	u32 result;

	EXPECT_EQ(get(&f, NVME_FEAT_IRQ_CONFIG, 4), 4);
	EXPECT_EQ(set(&f, NVME_FEAT_IRQ_CONFIG, 1 << 16 | 4), 0);
	EXPECT_EQ(get(&f, NVME_FEAT_IRQ_CONFIG, 4), 1 << 16 | 4);
	EXPECT_EQ(get(&f, NVME_FEAT_IRQ_CONFIG, 3), 3);
	EXPECT_EQ(set(&f, NVME_FEAT_IRQ_CONFIG, 5), DNR(NVME_SC_INVALID_FIELD));
	EXPECT_EQ(set(&f, NVME_FEAT_IRQ_CONFIG, 0xffff), DNR(NVME_SC_INVALID_FIELD));
	EXPECT_EQ(get_ns(&f, NVME_FEAT_IRQ_CONFIG, 0, 5, &result), DNR(NVME_SC_INVALID_FIELD));
}

TEST(pairs_beyond_the_maximum_do_not_reach_beyond_the_vectors)
{
	struct liov_features f;

	liov_features_init(&f, 1000, 1, false, NULL);
	EXPECT_EQ(get(&f, NVME_FEAT_IRQ_CONFIG, LIOV_MAX_PAIRS), LIOV_MAX_PAIRS);
	EXPECT_EQ(set(&f, NVME_FEAT_IRQ_CONFIG, LIOV_MAX_VECTORS), DNR(NVME_SC_INVALID_FIELD));
	liov_features_init(&f, 0, 1, false, NULL);
	EXPECT_EQ(get(&f, NVME_FEAT_NUM_QUEUES, 0), 0);
}

TEST(write_atomicity_is_one_bit)
{
	struct liov_features f = init();

	EXPECT_EQ(set(&f, NVME_FEAT_WRITE_ATOMIC, 3), 0);
	EXPECT_EQ(get(&f, NVME_FEAT_WRITE_ATOMIC, 0), 1);
}

TEST(async_events_are_those_we_raise)
{
	struct liov_features f = init();

	EXPECT_EQ(get(&f, NVME_FEAT_ASYNC_EVENT, 0), 0);
	EXPECT_EQ(set(&f, NVME_FEAT_ASYNC_EVENT, ~0U), 0);
	EXPECT_EQ(get(&f, NVME_FEAT_ASYNC_EVENT, 0), 0x1ff);
}

TEST(timestamp_runs_on_from_what_was_set)
{
	struct nvme_command c = cmd(NVME_FEAT_TIMESTAMP, 0, 0);
	u8 data[8] = { 0x00, 0x10, 0, 0, 0, 0x01, 0xff, 0xff };
	struct liov_features f = init();
	u32 result;

	EXPECT_EQ(liov_features_data_len(&f, &c), 8);
	EXPECT_EQ(liov_set_features(&f, &c, data, false, 5000, &result), 0);
	EXPECT_EQ(liov_get_features(&f, &c, data, 5007, &result), 0);
	/* origin 001b, not stopped; the reserved bits of the guest are gone */
	EXPECT_EQ(get_unaligned_le64(data), 0x0002010000001007);
	EXPECT_EQ(result, 0);
	/* a host clock that was set back does not run the guest's backwards past it */
	EXPECT_EQ(liov_get_features(&f, &c, data, 10, &result), 0);
	EXPECT_EQ(get_unaligned_le64(data), 0x0002010000001000);
}

TEST(timestamp_wraps_in_its_48_bits)
{
	struct nvme_command c = cmd(NVME_FEAT_TIMESTAMP, 0, 0);
	u8 data[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct liov_features f = init();
	u32 result;

	EXPECT_EQ(liov_set_features(&f, &c, data, false, 0, &result), 0);
	EXPECT_EQ(liov_get_features(&f, &c, data, 2, &result), 0);
	EXPECT_EQ(get_unaligned_le64(data), 0x0002000000000001);
}

TEST(timestamp_shows_the_host_clock_until_set)
{
	struct nvme_command c = cmd(NVME_FEAT_TIMESTAMP, 0, 0);
	struct liov_features f = init();
	u32 result;
	u8 data[8];

	EXPECT_EQ(liov_get_features(&f, &c, data, 123456, &result), 0);
	EXPECT_EQ(get_unaligned_le64(data), 123456);
}

TEST(host_identifier_has_8_bytes)
{
	struct nvme_command c = cmd(NVME_FEAT_HOST_ID, 0, 0);
	struct nvme_command ex = cmd(NVME_FEAT_HOST_ID, 0, 1);
	u8 data[16] = "hostidXXXXXXXXX", back[16] = {};
	struct liov_features f = init();
	u32 result;

	EXPECT_EQ(liov_features_data_len(&f, &c), 8);
	EXPECT_EQ(liov_set_features(&f, &c, data, false, 0, &result), 0);
	EXPECT_EQ(liov_get_features(&f, &c, back, 0, &result), 0);
	EXPECT_MEM(back, data, 8);
	EXPECT(all_zero(back + 8, 8));
	EXPECT_EQ(liov_features_data_len(&f, &ex), 0);
	/* whatever stands beside the identifier in the dword */
	ex = cmd(1U << 31 | 2 << 8 | NVME_FEAT_HOST_ID, 0, 0);
	EXPECT_EQ(liov_features_data_len(&f, &ex), 8);
	ex = cmd(NVME_FEAT_HOST_ID, 0, 1);
	EXPECT_EQ(liov_set_features(&f, &ex, NULL, false, 0, &result), DNR(NVME_SC_INVALID_FIELD));
	EXPECT_EQ(liov_get_features(&f, &ex, NULL, 0, &result), DNR(NVME_SC_INVALID_FIELD));
}

TEST(other_features_have_no_data)
{
	struct liov_features f = init();
	unsigned int fid;

	for (fid = 0; fid < 256; fid++) {
		struct nvme_command c = cmd(fid, 0, 0);

		if (fid != NVME_FEAT_TIMESTAMP && fid != NVME_FEAT_HOST_ID)
			EXPECT_EQ(liov_features_data_len(&f, &c), 0);
	}
}

TEST(reset_brings_all_defaults_back)
{
	struct liov_features f = init(), fresh = f;
	struct nvme_command c = cmd(NVME_FEAT_TIMESTAMP, 0, 0);
	u8 data[8] = { 1 };
	u32 result;

	set(&f, NVME_FEAT_ARBITRATION, 1);
	set(&f, NVME_FEAT_POWER_MGMT, 0x20);
	set(&f, NVME_FEAT_TEMP_THRESH, 0xf << 16 | 300);
	set(&f, NVME_FEAT_TEMP_THRESH, NVME_TEMP_THRESH_TYPE_UNDER | 0xf << 16 | 300);
	set_ns(&f, NVME_FEAT_ERR_RECOVERY, 2, 5);
	set(&f, NVME_FEAT_NUM_QUEUES, 0);
	set(&f, NVME_FEAT_IRQ_COALESCE, 5);
	set(&f, NVME_FEAT_IRQ_CONFIG, 1 << 16);
	set(&f, NVME_FEAT_WRITE_ATOMIC, 1);
	set(&f, NVME_FEAT_ASYNC_EVENT, 0x100);
	liov_set_features(&f, &c, data, false, 5, &result);
	c = cmd(NVME_FEAT_HOST_ID, 0, 0);
	liov_set_features(&f, &c, data, false, 5, &result);
	EXPECT(memcmp(&f, &fresh, sizeof(f)));
	liov_features_reset(&f);
	EXPECT_MEM(&f, &fresh, sizeof(f));
}
