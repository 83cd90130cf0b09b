/* sim/curve.c - ramp, plateau, taper; energy as the sum of short steps. */
#include "sim/curve.h"

#define STEP_MS       5000 /* power is taken as constant for so long */
#define EFFICIENCY    920  /* thousandths of what the meter counts that reach the battery */
#define MAINS_DV      2315
#define SAG_W_A_DV    700  /* so many watts a phase lower its voltage by a tenth of a volt */
#define DC_VOLTAGE_DV 3600 /* of an empty battery */
#define DC_RISE_DV    600  /* and so much more when it is full */
#define AMBIENT_DC    210
#define HEAT_W_A_DC   120 /* so many watts, on a station for AC, warm it by a tenth of a degree */
#define HEAT_DC_PART  8   /* one for DC has fans, and more to cool */

const struct vehicle vehicles[] = {
#define EBIKE(id, name, battery_wh, charger_w)
#define VEHICLE(id, name, battery_wh, ac_w, ac_phases, dc_w) {(name), (battery_wh), (ac_w), (dc_w), (ac_phases)},
#include "sim/vehicles.def"
};
const size_t vehicle_count = COUNT_OF(vehicles);
const struct vehicle ebikes[] = {
#define VEHICLE(id, name, battery_wh, ac_w, ac_phases, dc_w)
#define EBIKE(id, name, battery_wh, charger_w) {(name), (battery_wh), (charger_w), 0, 1},
#include "sim/vehicles.def"
};
const size_t ebike_count = COUNT_OF(ebikes);

static int32_t least(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

int32_t charge_limit_w(const struct charge *c)
{
    const struct vehicle *v = c->vehicle;
    if (c->supply.is_dc)
        return least(v->dc_w, c->supply.most_w);
    return least(v->ac_w, c->supply.most_w * v->ac_phases / 3);
}

int32_t charge_soc(const struct charge *c)
{
    int64_t whole_mj = c->vehicle->battery_wh * MILLIJOULE_A_WH;
    int64_t stored_mj = c->energy_mj / 1000 * EFFICIENCY;
    int64_t soc = c->start_soc + stored_mj / (whole_mj / SOC_FULL);
    return soc < SOC_FULL ? (int32_t)soc : SOC_FULL;
}

bool charge_is_done(const struct charge *c)
{
    return charge_soc(c) >= c->target_soc;
}

int64_t charge_energy_wh(const struct charge *c)
{
    return c->energy_mj / MILLIJOULE_A_WH;
}

int32_t charge_power_w(const struct charge *c)
{
    int64_t power = charge_limit_w(c);
    int32_t soc = charge_soc(c);
    if (soc >= SOC_FULL)
        return 0;
    if (soc > TAPER_FROM)
        power = power * (1000 - (int64_t)(1000 - TAPER_LEAST) * (soc - TAPER_FROM) / (SOC_FULL - TAPER_FROM)) / 1000;
    if (c->elapsed_ms < RAMP_MS)
        power = power * c->elapsed_ms / RAMP_MS;
    return (int32_t)power;
}

void charge_advance(struct charge *c, int64_t ms)
{
    while (ms > 0 && charge_soc(c) < SOC_FULL) {
        int64_t step_ms = ms < STEP_MS ? ms : STEP_MS;
        c->elapsed_ms += step_ms;
        c->energy_mj += charge_power_w(c) * step_ms; /* W x ms are mJ */
        ms -= step_ms;
    }
    if (ms > 0)
        c->elapsed_ms += ms;
}

struct meter_reading charge_reading(const struct charge *c, int64_t register_start_wh)
{
    int32_t power_w = charge_power_w(c), soc = charge_soc(c);
    int32_t phases = c->supply.is_dc ? 1 : c->vehicle->ac_phases;
    int32_t each_w = power_w / phases;
    int32_t voltage_dv = c->supply.is_dc ? DC_VOLTAGE_DV + (int32_t)((int64_t)DC_RISE_DV * soc / SOC_FULL)
                                         : MAINS_DV - each_w / SAG_W_A_DV;
    int32_t heat_w = c->supply.is_dc ? power_w / HEAT_DC_PART : power_w;
    return (struct meter_reading){
        .energy_wh = register_start_wh + charge_energy_wh(c),
        .power_w = power_w,
        .voltage_dv = voltage_dv,
        .current_ca = (int32_t)((int64_t)each_w * 1000 / voltage_dv),
        .temperature_dc = AMBIENT_DC + heat_w / HEAT_W_A_DC,
        .soc_percent = (uint8_t)(soc / (SOC_FULL / 100)),
        .phases = (uint8_t)phases,
    };
}
