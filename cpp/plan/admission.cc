#include "plan/admission.h"
