// SPDX-License-Identifier: GPL-2.0
/*
 * RLIMIT_MEMLOCK and CAP_IPC_LOCK of this process, and lines of the kernel's log.
 */
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memlock.h"

bool set_ipc_lock(bool on)
{
	struct __user_cap_header_struct hdr = { _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &hdr, data))
		return false;
	if (on)
		data[0].effective |= BIT(CAP_IPC_LOCK);
	else
		data[0].effective &= ~BIT(CAP_IPC_LOCK);
	return !syscall(SYS_capset, &hdr, data);
}

unsigned long locked_bytes(void)
{
	unsigned long kb = 0;
	char line[128];
	FILE *f = fopen("/proc/self/status", "r");

	while (f && fgets(line, sizeof(line), f))
		sscanf(line, "VmLck: %lu", &kb);
	if (f)
		fclose(f);
	return kb * 1024;
}

void limit_locked(unsigned long bytes)
{
	const struct rlimit lim = { bytes, RLIM_INFINITY };

	setrlimit(RLIMIT_MEMLOCK, &lim);
}

int klog_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

unsigned int klog_lines(int fd, const char *word)
{
	unsigned int lines = 0;
	char line[8192];
	ssize_t len;

	for (;;) {
		len = read(fd, line, sizeof(line) - 1);
		/* Overrun: there were more than the log can hold. */
		if (len < 0 && errno == EPIPE) {
			lines += 1000;
			continue;
		}
		if (len <= 0)
			return lines;
		line[len] = '\0';
		lines += !!strstr(line, word);
	}
}
