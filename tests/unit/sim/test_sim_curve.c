/* The charging curve: whatever the vehicle, energy never falls, power keeps to its limits, and a full battery takes
 * nothing. */
#include "check.h"
#include "sim/curve.h"

#define STEP_MS   60000
#define STEPS_MAX 3000
#define WIDTH     96

static const struct supply supplies[] = {{22000, false}, {3700, false}, {150000, true}, {50000, true}};

static bool can_use(const struct vehicle *v, const struct supply *s)
{
    return !s->is_dc || v->dc_w > 0;
}

static void check_whole_charge(const struct vehicle *v, const struct supply *supply)
{
    char row[WIDTH];
    (void)snprintf(row, sizeof row, "%s at %d W %s", v->name, (int)supply->most_w, supply->is_dc ? "DC" : "AC");
    struct charge c = {.vehicle = v, .supply = *supply, .start_soc = 100000, .target_soc = SOC_FULL};
    int32_t limit = charge_limit_w(&c), tapered = 0, highest = 0;
    CHECK(row, limit > 0 && limit <= supply->most_w && limit <= (supply->is_dc ? v->dc_w : v->ac_w));
    CHECK(row, charge_power_w(&c) == 0); /* the contactor has just closed */
    int steps = 0;
    while (!charge_is_done(&c) && steps++ < STEPS_MAX) {
        int64_t before_mj = c.energy_mj;
        int32_t soc = charge_soc(&c), power = charge_power_w(&c);
        charge_advance(&c, STEP_MS);
        CHECK(row, c.energy_mj > before_mj && charge_soc(&c) >= soc);
        CHECK(row, c.energy_mj - before_mj <= (int64_t)limit * STEP_MS);
        CHECK(row, power >= 0 && power <= limit);
        CHECK(row, soc <= TAPER_FROM || tapered == 0 || power <= tapered);
        tapered = soc > TAPER_FROM ? power : 0;
        highest = power > highest ? power : highest;
    }
    CHECK(row, charge_is_done(&c) && charge_soc(&c) == SOC_FULL && charge_power_w(&c) == 0);
    CHECK(row, highest == limit); /* it does reach its plateau */
    int64_t full_mj = c.energy_mj;
    charge_advance(&c, STEP_MS);
    CHECK(row, c.energy_mj == full_mj);
    int64_t battery_part_wh = (int64_t)v->battery_wh * 9 / 10; /* from 10 % */
    CHECK(row, charge_energy_wh(&c) > battery_part_wh && charge_energy_wh(&c) < battery_part_wh * 12 / 10);
}

static void check_same_in_any_pieces(void)
{
    struct charge once = {
        .vehicle = &vehicles[2], .supply = {22000, false}, .start_soc = 300000, .target_soc = SOC_FULL};
    struct charge often = once;
    charge_advance(&once, 3600000);
    for (int i = 0; i < 60; i++)
        charge_advance(&often, 60000);
    CHECK("an hour at once is sixty minutes", once.energy_mj == often.energy_mj && once.elapsed_ms == often.elapsed_ms);
}

static void check_ramp(void)
{
    struct charge c = {.vehicle = &vehicles[2], .supply = {22000, false}, .start_soc = 300000, .target_soc = SOC_FULL};
    int32_t before = 0;
    for (int i = 0; i < RAMP_MS / 5000; i++) {
        charge_advance(&c, 5000);
        CHECK("the power rises until the plateau", charge_power_w(&c) > before);
        before = charge_power_w(&c);
    }
    charge_advance(&c, 5000);
    CHECK("and stays there", before == charge_limit_w(&c) && charge_power_w(&c) == before);
}

static void check_reading(const struct vehicle *v, const struct supply *supply)
{
    struct charge c = {.vehicle = v, .supply = *supply, .start_soc = 300000, .target_soc = SOC_FULL};
    charge_advance(&c, 120000);
    struct meter_reading r = charge_reading(&c, 5000000);
    int64_t product_w = (int64_t)r.voltage_dv * r.current_ca * r.phases / 1000;
    CHECK(v->name, r.energy_wh == 5000000 + charge_energy_wh(&c));
    CHECK(v->name, r.power_w == charge_power_w(&c) && r.soc_percent >= 30 && r.soc_percent <= 100);
    CHECK(v->name, product_w <= r.power_w && product_w > r.power_w * 98 / 100); /* P = U I for each phase */
    CHECK(v->name, r.phases == (supply->is_dc ? 1 : v->ac_phases) && r.temperature_dc > 100 && r.temperature_dc < 900);
}

int main(void)
{
    for (size_t i = 0; i < vehicle_count; i++) {
        for (size_t k = 0; k < COUNT_OF(supplies); k++) {
            if (!can_use(&vehicles[i], &supplies[k]))
                continue;
            check_whole_charge(&vehicles[i], &supplies[k]);
            check_reading(&vehicles[i], &supplies[k]);
        }
    }
    for (size_t i = 0; i < ebike_count; i++) {
        check_whole_charge(&ebikes[i], &supplies[0]);
        check_reading(&ebikes[i], &supplies[0]);
    }
    check_same_in_any_pieces();
    check_ramp();
    return CHECK_REPORT();
}
