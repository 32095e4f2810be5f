#include "plan/retention.h"
