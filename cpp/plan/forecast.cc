#include "plan/forecast.h"
