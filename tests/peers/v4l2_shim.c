/* A webcam that is not there: preloaded (LD_PRELOAD), it answers for /dev/video0 as the V4L2 driver of a 320x240 YUYV
 * camera at 30 frames a second would, so that the real capture code runs on a machine without one. open() hands out a
 * timerfd, which becomes readable at every frame; the buffers are a memfd that the caller maps as it would the
 * driver's. A frame fills the next buffer that was queued and waits in it; where there is none, it is lost. Frame n that
 * is taken has luma n % 200 + 20 everywhere and chroma 128. ACTIONSTREAM_SHIM_FRAMES=n pulls the plug after n. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 320, HEIGHT = 240, SIZE = WIDTH * HEIGHT * 2, STRIDE = (SIZE + 0xffff) & ~0xffff, BUFFERS = 32, FPS = 30 };

static int camera = -1, memory = -1, queued[BUFFERS], head, filled, tail, frames;
static int64_t filled_us[BUFFERS]; /* when, on the monotonic clock */

static int open_camera(void) {
    struct itimerspec every = {{0, 1000000000 / FPS}, {0, 1000000000 / FPS}};
    camera = timerfd_create(CLOCK_MONOTONIC, 0);
    timerfd_settime(camera, 0, &every, NULL);
    if (memory < 0) memory = memfd_create("frames", 0);
    head = filled = tail = 0;
    return ftruncate(memory, (off_t)STRIDE * BUFFERS) ? -1 : camera;
}

static int opened(const char *name, const char *path, int flags, mode_t mode) {
    if (!strcmp(path, "/dev/video0")) return open_camera();
    return ((int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name))(path, flags, mode);
}

#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        va_list rest;                                               \
        va_start(rest, flags);                                      \
        mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;   \
        va_end(rest);                                               \
        return opened(#name, path, flags, mode);                    \
    }
OPEN(open)
OPEN(open64)

void *mmap64(void *at, size_t size, int protection, int flags, int fd, off64_t offset) {
    static void *(*real)(void *, size_t, int, int, int, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "mmap64");
    return real(at, size, protection, flags, camera >= 0 && fd == camera ? memory : fd, offset);
}
void *mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset) {
    return mmap64(at, size, protection, flags, fd, offset);
}

static int fill_format(struct v4l2_format *format) {
    struct v4l2_pix_format pixels = {.width = WIDTH, .height = HEIGHT, .pixelformat = V4L2_PIX_FMT_YUYV,
        .field = V4L2_FIELD_NONE, .bytesperline = WIDTH * 2, .sizeimage = SIZE, .colorspace = V4L2_COLORSPACE_SRGB};
    format->fmt.pix = pixels;
    return 0;
}

static void fill(void) {
    uint64_t periods;
    struct timespec now;
    if (read(camera, &periods, sizeof periods) < 0) return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t us = now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
    while (periods-- && filled < tail) filled_us[filled++ % BUFFERS] = us - (int64_t)periods * 1000000 / FPS;
}

static int dequeue(struct v4l2_buffer *buffer) {
    struct pollfd due = {camera, POLLIN, 0};
    const char *limit = getenv("ACTIONSTREAM_SHIM_FRAMES");
    if (limit && frames >= atoi(limit)) return errno = ENODEV, -1;
    if (head == tail) return errno = EAGAIN, -1;
    while (head == filled || poll(&due, 1, 0) > 0) fill();
    int64_t us = filled_us[head % BUFFERS];
    int index = queued[head++ % BUFFERS];
    uint8_t *pixels = mmap64(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, (off64_t)STRIDE * index);
    for (int i = 0; i < SIZE; i += 2) pixels[i] = frames % 200 + 20, pixels[i + 1] = 128;
    munmap(pixels, SIZE);
    buffer->index = index;
    buffer->bytesused = SIZE;
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->timestamp = (struct timeval){us / 1000000, us % 1000000};
    buffer->sequence = frames++;
    return 0;
}

static int answer(unsigned long request, void *argument) {
    switch (request) {
    case VIDIOC_QUERYCAP: {
        struct v4l2_capability *capability = argument;
        memset(capability, 0, sizeof *capability);
        strcpy((char *)capability->card, "Shim Camera");
        capability->device_caps = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        capability->capabilities = capability->device_caps | V4L2_CAP_DEVICE_CAPS;
        return 0;
    }
    case VIDIOC_G_INPUT: case VIDIOC_S_INPUT: return *(int *)argument = 0;
    case VIDIOC_ENUMINPUT: {
        struct v4l2_input *input = argument;
        if (input->index) break;
        input->type = V4L2_INPUT_TYPE_CAMERA;
        return 0;
    }
    case VIDIOC_ENUM_FMT: {
        struct v4l2_fmtdesc *format = argument;
        if (format->index) break;
        format->pixelformat = V4L2_PIX_FMT_YUYV;
        return 0;
    }
    case VIDIOC_ENUM_FRAMESIZES: {
        struct v4l2_frmsizeenum *size = argument;
        if (size->index) break;
        size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        size->discrete = (struct v4l2_frmsize_discrete){WIDTH, HEIGHT};
        return 0;
    }
    case VIDIOC_ENUM_FRAMEINTERVALS: {
        struct v4l2_frmivalenum *interval = argument;
        if (interval->index) break;
        interval->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        interval->discrete = (struct v4l2_fract){1, FPS};
        return 0;
    }
    case VIDIOC_G_FMT: case VIDIOC_S_FMT: case VIDIOC_TRY_FMT: return fill_format(argument);
    case VIDIOC_G_PARM: case VIDIOC_S_PARM: {
        struct v4l2_streamparm *parameters = argument;
        parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
        parameters->parm.capture.timeperframe = (struct v4l2_fract){1, FPS};
        return 0;
    }
    case VIDIOC_REQBUFS: {
        struct v4l2_requestbuffers *wanted = argument;
        if (wanted->count > BUFFERS) wanted->count = BUFFERS;
        return 0;
    }
    case VIDIOC_QUERYBUF: {
        struct v4l2_buffer *buffer = argument;
        buffer->length = SIZE;
        buffer->m.offset = STRIDE * buffer->index;
        return 0;
    }
    case VIDIOC_QBUF: queued[tail++ % BUFFERS] = ((struct v4l2_buffer *)argument)->index; return 0;
    case VIDIOC_DQBUF: return dequeue(argument);
    case VIDIOC_STREAMON: case VIDIOC_STREAMOFF: return 0;
    }
    return errno = EINVAL, -1;
}

int ioctl(int fd, unsigned long request, ...) {
    va_list rest;
    va_start(rest, request);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    if (camera >= 0 && fd == camera) return answer(request & 0xffffffffUL, argument);
    return ((int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl"))(fd, request, argument);
}
