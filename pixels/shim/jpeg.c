/* libjpeg-turbo, safe to call from Rust: its errors leave by longjmp, which may cross C frames only, so each of the two
 * functions catches them here and answers with a text. Nothing of Rust's is called in between.
 *
 * It warns where it fills in what a damaged file lacks, and goes on. Most warnings here are errors: a model predicts grey
 * as readily as leaves. */
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>

/* Room for a text, as libjpeg's own. */
#define MESSAGE 256
/* A picture of a few kilobytes can ask for so many passes over all of its pixels that they take hours. */
#define MOST_SCANS 500
/* Bytes that lie between the last of a scan's data and the next marker, zeros left out: cameras leave some; more is data that
 * belongs to no pixel, as behind a run of bytes that was overwritten. */
#define MOST_LEFT_OVER 16

/* How samples become colours. */
enum colour {
  AS_MARKED = 0, /* what the markers say, as RGB: a file of its own */
  SAMPLES = 1,   /* the components as they are: a part of a TIFF */
  YCC = 2,       /* the components are YCbCr, whatever the markers say; as RGB: a part of a TIFF */
};

struct pixels_jpeg {
  uint32_t width;
  uint32_t height;
  uint32_t components;
  uint32_t precision;
  /* Bytes that it keeps until the last of several scans is read. */
  uint64_t coefficients;
};

struct errors {
  struct jpeg_error_mgr base;
  jmp_buf out;
  char *message;
};

static void leave(j_common_ptr common, const char *what, const char *detail) {
  struct errors *errors = (struct errors *)common->err;
  snprintf(errors->message, MESSAGE, "%s%s", what, detail);
  longjmp(errors->out, 1);
}

static void error_exit(j_common_ptr common) {
  char text[JMSG_LENGTH_MAX];
  common->err->format_message(common, text);
  leave(common, "the JPEG cannot be read: ", text);
}

/* Whether what was passed over in front of a marker is more than padding. */
static int is_left_over(j_decompress_ptr decoder) {
  int passed = decoder->err->msg_parm.i[0];
  const JOCTET *end = decoder->src->next_input_byte;
  int left = 0;
  /* The two bytes of the marker have been read. What is in front of the file's begin was never counted. */
  for (int back = 3; back < passed + 3 && left <= MOST_LEFT_OVER; back++)
    left += end[-back] != 0;
  return decoder->input_scan_number > 0 && left > MOST_LEFT_OVER;
}

static void emit_message(j_common_ptr common, int level) {
  char text[JMSG_LENGTH_MAX];
  static const char about[] = "Corrupt JPEG data: ";
  if (level >= 0) return;
  switch (common->err->msg_code) {
    case JWRN_JPEG_EOF:
      leave(common, "the JPEG is cut off: it has no end marker", "");
      break;
    case JWRN_EXTRANEOUS_DATA:
      if (!is_left_over((j_decompress_ptr)common)) return;
      /* falls through */
    case JWRN_ARITH_BAD_CODE:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_MUST_RESYNC:
      common->err->format_message(common, text);
      leave(common, "the JPEG is damaged: ",
            strncmp(text, about, sizeof about - 1) == 0 ? text + sizeof about - 1 : text);
      break;
    default: /* Oddities of the header, which change no pixel. */
      break;
  }
}

static void progress(j_common_ptr common) {
  if (((j_decompress_ptr)common)->input_scan_number > MOST_SCANS)
    leave(common, "the JPEG has more scans than any picture needs", "");
}

/* Nothing is written to standard error. */
static void output_message(j_common_ptr common) { (void)common; }

static void prepare(struct jpeg_decompress_struct *decoder, struct errors *errors, char *message) {
  decoder->err = jpeg_std_error(&errors->base);
  errors->base.error_exit = error_exit;
  errors->base.emit_message = emit_message;
  errors->base.output_message = output_message;
  errors->message = message;
  message[0] = 0;
}

static uint64_t coefficients(j_decompress_ptr decoder) {
  uint64_t bytes = 0;
  if (!jpeg_has_multiple_scans(decoder)) return 0;
  for (int index = 0; index < decoder->num_components; index++) {
    const jpeg_component_info *component = &decoder->comp_info[index];
    uint64_t wide = component->width_in_blocks + component->h_samp_factor;
    uint64_t high = component->height_in_blocks + component->v_samp_factor;
    bytes += wide * high * sizeof(JBLOCK);
  }
  return bytes;
}

static void describe(j_decompress_ptr decoder, struct pixels_jpeg *about) {
  about->width = decoder->image_width;
  about->height = decoder->image_height;
  about->components = decoder->num_components;
  about->precision = decoder->data_precision;
  about->coefficients = coefficients(decoder);
}

/* Reads the tables that the JPEGs of a TIFF share, where there are some, and the header. */
static void read_header(j_decompress_ptr decoder, const unsigned char *tables, size_t tables_length,
                        const unsigned char *bytes, size_t length) {
  if (tables_length > 0) {
    jpeg_mem_src(decoder, tables, tables_length);
    if (jpeg_read_header(decoder, FALSE) != JPEG_HEADER_TABLES_ONLY)
      leave((j_common_ptr)decoder, "the tables that the JPEGs share are an image", "");
  }
  jpeg_mem_src(decoder, bytes, length);
  jpeg_read_header(decoder, TRUE);
}

/* What the header says. Gives 0, or another number with a text in `message`. */
int pixels_jpeg_header(const unsigned char *tables, size_t tables_length, const unsigned char *bytes, size_t length,
                       struct pixels_jpeg *about, char *message) {
  struct jpeg_decompress_struct decoder;
  struct errors errors;
  memset(&decoder, 0, sizeof decoder);
  prepare(&decoder, &errors, message);
  if (setjmp(errors.out)) {
    jpeg_destroy_decompress(&decoder);
    return 1;
  }
  jpeg_create_decompress(&decoder);
  read_header(&decoder, tables, tables_length, bytes, length);
  describe(&decoder, about);
  jpeg_destroy_decompress(&decoder);
  return 0;
}

/* 255 for full ink, as Pillow turns CMYK into RGB: a * b / 255, rounded. */
static unsigned char product(unsigned a, unsigned b) {
  unsigned both = a * b + 128;
  return (unsigned char)((both + (both >> 8)) >> 8);
}

/* A row of inverted CMYK, which is how every JPEG has it, as Pillow reads it. */
static void inks(const unsigned char *row, unsigned char *pixels, JDIMENSION width) {
  for (JDIMENSION x = 0; x < width; x++, row += 4, pixels += 3)
    for (int channel = 0; channel < 3; channel++)
      pixels[channel] = row[3] - product(255 - row[channel], row[3]);
}

/* Decodes into `pixels`, which has room for exactly the rows that `expected` describes: three bytes a pixel, or its
 * components' with SAMPLES. Gives 0, or another number with a text in `message`. */
int pixels_jpeg_decode(const unsigned char *tables, size_t tables_length, const unsigned char *bytes, size_t length,
                       int colour, const struct pixels_jpeg *expected, unsigned char *pixels, char *message) {
  struct jpeg_decompress_struct decoder;
  struct jpeg_progress_mgr watch;
  struct errors errors;
  struct pixels_jpeg found;
  memset(&decoder, 0, sizeof decoder);
  prepare(&decoder, &errors, message);
  if (setjmp(errors.out)) {
    jpeg_destroy_decompress(&decoder);
    return 1;
  }
  jpeg_create_decompress(&decoder);
  memset(&watch, 0, sizeof watch);
  watch.progress_monitor = progress;
  decoder.progress = &watch;
  read_header(&decoder, tables, tables_length, bytes, length);
  describe(&decoder, &found);
  if (memcmp(&found, expected, sizeof found) != 0)
    leave((j_common_ptr)&decoder, "the JPEG is not what its header said", "");
  if (found.precision != 8) {
    char bits[32];
    snprintf(bits, sizeof bits, "%u bits", found.precision);
    leave((j_common_ptr)&decoder, "not supported: a JPEG with samples of ", bits);
  }
  int inked = 0;
  switch (colour) {
    case SAMPLES:
      decoder.jpeg_color_space = JCS_UNKNOWN;
      decoder.out_color_space = JCS_UNKNOWN;
      break;
    case YCC:
      if (found.components != 3) leave((j_common_ptr)&decoder, "a JPEG of YCbCr has three components", "");
      decoder.jpeg_color_space = JCS_YCbCr;
      decoder.out_color_space = JCS_RGB;
      break;
    default:
      inked = found.components == 4;
      if (found.components != 1 && found.components != 3 && !inked) {
        char many[32];
        snprintf(many, sizeof many, "%u components", found.components);
        leave((j_common_ptr)&decoder, "not supported: a JPEG with ", many);
      }
      decoder.out_color_space = inked ? JCS_CMYK : JCS_RGB;
  }
  /* What the caller has counted; rows and tables come to less than a mebibyte besides, for the widest of pictures. */
  decoder.mem->max_memory_to_use = (long)(found.coefficients + (64 << 20));
  jpeg_start_decompress(&decoder);
  size_t stride = (size_t)decoder.output_width * (inked ? 3 : decoder.output_components);
  JSAMPARRAY spare = NULL;
  if (inked)
    spare = decoder.mem->alloc_sarray((j_common_ptr)&decoder, JPOOL_IMAGE, decoder.output_width * 4, 1);
  while (decoder.output_scanline < decoder.output_height) {
    unsigned char *row = pixels + stride * decoder.output_scanline;
    JSAMPROW rows[1] = {inked ? spare[0] : row};
    jpeg_read_scanlines(&decoder, rows, 1);
    if (inked) inks(spare[0], row, decoder.output_width);
  }
  /* Reads on to the end marker. */
  jpeg_finish_decompress(&decoder);
  jpeg_destroy_decompress(&decoder);
  return 0;
}
