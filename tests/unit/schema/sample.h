/* tests/unit/schema/sample.h - the sample message, struct and table, in a test program. */
#ifndef TESTS_SCHEMA_SAMPLE_H
#define TESTS_SCHEMA_SAMPLE_H
#include "schema/schema.h"

#define SCHEMA_STRUCTS
#include "schema/expand.h"
#include "unit/schema/sample.def"

#define SCHEMA_TABLES
#include "schema/expand.h"
#include "unit/schema/sample.def"
#endif
