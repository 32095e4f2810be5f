#include "plan/run_spec.h"
