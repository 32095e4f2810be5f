#pragma once

namespace checkroom::archive {}
