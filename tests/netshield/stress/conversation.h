// Whole conversations of one end, in each way that a program may have them.
#pragma once

#include "flow.h"

// Chooses the way by the flow's own random numbers. Closes the descriptor.
void converse(struct flow* flow);
