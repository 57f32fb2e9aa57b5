// SPDX-License-Identifier: GPL-2.0
/*
 * The other way to VFIO: the device's own node and iommufd instead of group and
 * type1 container.  Taken where LIGHTIOV_IOMMUFD is set to anything but 0; struct
 * vfio.container is /dev/iommu then, and there is no group.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/iommufd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "iommufd.h"

static int sys_err(const char *what)
{
	int err = errno;

	diag("%s: %s", what, strerror(err));
	return -err;
}

bool iommufd_wanted(void)
{
	const char *env = getenv("LIGHTIOV_IOMMUFD");

	return env && *env && strcmp(env, "0");
}

/* /dev/vfio/devices/vfioN of an mdev. */
static int device_node(const char *uuid, char *path, size_t len)
{
	struct dirent *e;
	DIR *dir;
	int rc = -ENOENT;

	snprintf(path, len, "/sys/bus/mdev/devices/%s/vfio-dev", uuid);
	dir = opendir(path);
	if (!dir)
		return sys_err(path);
	while ((e = readdir(dir))) {
		if (strncmp(e->d_name, "vfio", 4))
			continue;
		snprintf(path, len, "/dev/vfio/devices/%.32s", e->d_name);
		rc = 0;
	}
	closedir(dir);
	return rc;
}

int iommufd_open(struct vfio *v)
{
	struct iommu_ioas_alloc alloc = { .size = sizeof(alloc) };

	v->container = open("/dev/iommu", O_RDWR | O_CLOEXEC);
	if (v->container < 0)
		return sys_err("/dev/iommu");
	if (ioctl(v->container, IOMMU_IOAS_ALLOC, &alloc))
		return sys_err("IOMMU_IOAS_ALLOC");
	v->ioas = alloc.out_ioas_id;
	return 0;
}

int iommufd_open_device(struct vfio *v, const char *uuid)
{
	struct vfio_device_bind_iommufd bind = {
		.argsz = sizeof(bind),
		.iommufd = v->container,
	};
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = v->ioas,
	};
	char path[256];
	int rc;

	rc = device_node(uuid, path, sizeof(path));
	if (rc)
		return rc;
	v->device = open(path, O_RDWR | O_CLOEXEC);
	if (v->device < 0)
		return sys_err(path);
	if (ioctl(v->device, VFIO_DEVICE_BIND_IOMMUFD, &bind))
		return sys_err("VFIO_DEVICE_BIND_IOMMUFD");
	if (ioctl(v->device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach))
		return sys_err("VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	return 0;
}

int iommufd_map(struct vfio *v, void *va, u64 iova, u64 len, bool readable, bool writable)
{
	struct iommu_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_IOAS_MAP_FIXED_IOVA |
			 (readable ? IOMMU_IOAS_MAP_READABLE : 0) |
			 (writable ? IOMMU_IOAS_MAP_WRITEABLE : 0),
		.ioas_id = v->ioas,
		.user_va = (unsigned long)va,
		.length = len,
		.iova = iova,
	};

	return ioctl(v->container, IOMMU_IOAS_MAP, &map) ? -errno : 0;
}

int iommufd_unmap(struct vfio *v, u64 iova, u64 len)
{
	struct iommu_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = v->ioas,
		.iova = iova,
		.length = len,
	};

	return ioctl(v->container, IOMMU_IOAS_UNMAP, &unmap) ? -errno : 0;
}
