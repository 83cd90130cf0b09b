/* sim/curve.h - how a battery is charged: power over time, energy and state of charge. Pure and in integers, so that
 * the same seed gives the same session everywhere. */
#ifndef SIM_CURVE_H
#define SIM_CURVE_H
#include "base/base.h"

#define SOC_FULL        1000000 /* state of charge is in millionths */
#define TAPER_FROM      800000  /* above it the battery takes less and less */
#define TAPER_LEAST     120     /* thousandths of the plateau that a full battery would still take */
#define RAMP_MS         25000   /* from the contactor to the plateau */
#define MILLIJOULE_A_WH INT64_C(3600000)

struct vehicle {
    const char *name;
    int32_t battery_wh, ac_w, dc_w;
    uint8_t ac_phases;
};
extern const struct vehicle vehicles[];
extern const size_t vehicle_count;
extern const struct vehicle ebikes[];
extern const size_t ebike_count;

/* What the station offers. */
struct supply {
    int32_t most_w;
    bool is_dc;
};

struct charge {
    const struct vehicle *vehicle;
    struct supply supply;
    int32_t start_soc, target_soc; /* the driver leaves at the target, if it is below full */
    int64_t elapsed_ms;
    int64_t energy_mj; /* delivered; never goes down */
};

/* What vehicle and supply agree upon at most. */
int32_t charge_limit_w(const struct charge *c);
int32_t charge_power_w(const struct charge *c);
int32_t charge_soc(const struct charge *c);
bool charge_is_done(const struct charge *c); /* at its target, or full */
int64_t charge_energy_wh(const struct charge *c);
/* Time passes; nothing more is taken once it is full. */
void charge_advance(struct charge *c, int64_t ms);

/* What the meter of the connector shows. */
struct meter_reading {
    int64_t energy_wh; /* of the register */
    int32_t power_w;
    int32_t voltage_dv, current_ca; /* tenths of a volt, hundredths of an ampere, of each phase */
    int32_t temperature_dc;         /* tenths of a degree Celsius */
    uint8_t soc_percent, phases;
};
struct meter_reading charge_reading(const struct charge *c, int64_t register_start_wh);
#endif
