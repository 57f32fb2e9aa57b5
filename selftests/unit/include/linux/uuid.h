/* SPDX-License-Identifier: GPL-2.0 */
/* For the kernel's linux/nvme.h; see shim.h. */
#include "shim.h"
