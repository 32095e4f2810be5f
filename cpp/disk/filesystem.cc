#include "disk/filesystem.h"
