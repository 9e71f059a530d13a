/* db/store_base.h - what the subjects of db/store.h share. */
#ifndef TW_DB_STORE_BASE_H
#define TW_DB_STORE_BASE_H

#include <stdbool.h>
#include <stdint.h>
#include "common/rc.h"

struct store;
struct store_reader;

#define STORE_ID_LEN 16
#define STORE_KEY_LEN 32
#define STORE_NAME_MAX 64

#endif
