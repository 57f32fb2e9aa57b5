// SPDX-License-Identifier: GPL-2.0
/* What a guest is told of the host's answer to a command: status.c */
#include <errno.h>

#include "harness.h"
#include "model/model.h"

TEST(hardware_status_reaches_the_guest)
{
	EXPECT_EQ(liov_hw_status(0), 0);
	EXPECT_EQ(liov_hw_status(NVME_SC_LBA_RANGE), NVME_SC_LBA_RANGE);
	EXPECT_EQ(liov_hw_status(NVME_SC_INVALID_FIELD | NVME_STATUS_DNR),
		  NVME_SC_INVALID_FIELD | NVME_STATUS_DNR);
}

/* More speaks of a page of the error log that the guest has not. */
TEST(more_and_the_retry_delay_stay_here)
{
	EXPECT_EQ(liov_hw_status(NVME_SC_INTERNAL | NVME_STATUS_MORE | NVME_STATUS_CRD),
		  NVME_SC_INTERNAL);
}

TEST(a_reset_of_the_hosts_is_waited_for_and_no_answer_is_an_error)
{
	EXPECT_EQ(liov_hw_status(-EAGAIN), LIOV_SC_LATER);
	EXPECT_EQ(liov_hw_status(-EINTR), LIOV_SC_LATER);
	EXPECT_EQ(liov_hw_status(-ENODEV), NVME_SC_INTERNAL);
}

TEST(abort_without_an_answer_is_not_aborted)
{
	EXPECT_EQ(liov_abort_status(-EAGAIN), 0);
	EXPECT_EQ(liov_abort_status(-ENODEV), 0);
	EXPECT_EQ(liov_abort_status(0), 0);
	EXPECT_EQ(liov_abort_status(NVME_SC_ABORT_LIMIT), NVME_SC_ABORT_LIMIT);
}

TEST(a_queue_in_memory_that_is_none_is_a_transfer_error)
{
	EXPECT_EQ(liov_guest_status(0), 0);
	EXPECT_EQ(liov_guest_status(-EFAULT), NVME_SC_DATA_XFER_ERROR);
	EXPECT_EQ(liov_guest_status(-EAGAIN), LIOV_SC_LATER);
	EXPECT_EQ(liov_guest_status(-ENOMEM), NVME_SC_INTERNAL);
	EXPECT_EQ(liov_guest_status(NVME_SC_QUEUE_SIZE | NVME_STATUS_MORE), NVME_SC_QUEUE_SIZE);
}

/* More and the retry delay alone say nothing, but that it failed. */
TEST(failure_stays_one)
{
	EXPECT_EQ(liov_hw_status(NVME_STATUS_MORE), NVME_SC_INTERNAL);
	EXPECT_EQ(liov_guest_status(NVME_STATUS_CRD), NVME_SC_INTERNAL);
}
