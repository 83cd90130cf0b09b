/* proto/ap3000/describe.h - frames for people and scripts: as JSON, each field in words, and the reference page. All
 * from the tables of proto/ap3000/frames.h. */
#ifndef PROTO_AP3000_DESCRIBE_H
#define PROTO_AP3000_DESCRIBE_H
#include "proto/ap3000/frames.h"

#include "base/json.h"

/* One object: length, physical_id, device_code, device_number, message_id, command, payload_len, checksum, fields.
 * fields has the keys of frames.def with the numbers of the wire; bytes and ids are hexadecimal; a temperature X_raw is
 * followed by X_c, null where there is no sensor; absent fields are absent; surplus is "extra". A command without a
 * table, or a payload that is too short for its table, is "raw". */
void ap3000_frame_json(struct json_writer *w, const struct ap3000_frame *f, enum ap3000_direction d);
/* Its members, into an object that is open. */
void ap3000_frame_json_members(struct json_writer *w, const struct ap3000_frame *f, enum ap3000_direction d);
/* What is in "fields" of a payload of that layout, NULL: none, into an object that is open. */
void ap3000_fields_json_members(struct json_writer *w, const struct ap3000_layout *l, struct bytes payload);

/* A frame with its payload cut up: what field_show needs to know around a field. */
struct ap3000_view {
    const struct ap3000_frame *frame;
    const struct ap3000_layout *layout;
    struct ap3000_slices slices;
};
/* Field i, which must be there, in words: "180 W", "5: user unplugged". Without a line break. */
void ap3000_field_show(const struct ap3000_view *v, size_t i, struct buf *out);
/* One item of a list likewise, and a field of a part. */
void ap3000_item_show(const struct ap3000_view *v, size_t i, size_t item, struct buf *out);
void ap3000_part_show(const struct ap3000_view *v, const struct ap3000_field *f, struct bytes b, struct buf *out);
/* "04CEAA40: double socket, printed number 13544000" */
void ap3000_id_show(uint32_t id, struct buf *out);

/* Which way a frame goes is not in it: the direction whose table fits its payload better. *is_sure: false if the other
 * fits as well. AP3000_UP for unknown commands. */
enum ap3000_direction ap3000_direction_guess(const struct ap3000_frame *f, bool *is_sure);

/* docs/reference/ap3000.md */
void ap3000_document(struct buf *out);
#endif
