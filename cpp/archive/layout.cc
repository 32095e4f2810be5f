#include "archive/layout.h"
