/* proto/ocpp16/frame.h - the three frames of OCPP-J (ocpp16.md 2): text <-> parts. */
#ifndef PROTO_OCPP16_FRAME_H
#define PROTO_OCPP16_FRAME_H
#include "base/json.h"

enum ocpp_frame_kind { OCPP_CALL = 2, OCPP_RESULT = 3, OCPP_ERROR = 4 };

#define OCPP_ID_MAX 255 /* characters of a unique id that are taken; the standard's own limit is 36 */

struct ocpp_frame {
    enum ocpp_frame_kind kind;
    struct str id_json; /* as it came, quotes included: echoed exactly */
    struct str id;      /* its text */
    struct str action;  /* CALL */
    struct str payload; /* raw JSON. CALL: an object; RESULT: whatever came, for the table to judge; ERROR: the details.
                           Absent in a RESULT, or null, reads as "{}" */
    struct str error_code, error_text; /* ERROR */
};
/* OK. ERR_FORMAT: no JSON, no array or no usable id: nothing can be answered. ERR_UNSUPPORTED: another type number, to
 * be ignored. With a readable id, so that an answer can be given: ERR_MISSING: too short; ERR_TYPE: a part is of the
 * wrong kind. */
MUST_USE enum err ocpp_frame_read(struct str text, struct arena *a, struct ocpp_frame *out, struct fault *why);

/* The same for who then reads the payload of a CALL by its table, which checks it whole: here it is only found, by its
 * brackets, and where the message ends as nearly all do, by that. An OK of both is as good as one of ocpp_frame_read;
 * when either refuses, only ocpp_frame_read can say what is wrong, or that the payload ends before further items. */
MUST_USE enum err ocpp_frame_find(struct str text, struct arena *a, struct ocpp_frame *out, struct fault *why);
/* The payload of a CALL, of a frame that was read before. false: it is no CALL, or has none. */
bool ocpp_frame_payload(struct str text, struct str *payload);

void ocpp_write_call(struct buf *out, struct str id, struct str action, struct str payload);
void ocpp_write_result(struct buf *out, struct str id_json, struct str payload);
void ocpp_write_error(struct buf *out, struct str id_json, struct str code, struct str description);
#endif
